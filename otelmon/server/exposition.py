"""The Prometheus text format (version 0.0.4), for a Prometheus that scrapes the server itself.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from otelmon.histogram import Histogram
from otelmon.labels import METRIC_NAME, Labels
from otelmon.sample import Sample, is_stale

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OF_HISTOGRAMS = ("_bucket", "_count", "_sum")


def exposition(samples: Iterable[Sample], *, without: Labels) -> str:
    """The text of these samples, of one instant; native histograms, which the format has no words for, are left out.

    ``without`` are labels (the server's own job and instance) that whoever scrapes sets himself; a series that has all
    of them is written without. Any other that lacks one of them has it empty: with `honor_labels` Prometheus would
    add the server's own otherwise (https://github.com/prometheus/pushgateway#about-the-job-and-instance-labels).
    """
    families: dict[str, list[tuple[Labels, float]]] = {}
    for sample in samples:
        if not isinstance(sample.value, Histogram) and not is_stale(sample.value):
            families.setdefault(sample.labels.metric_name, []).append((sample.labels, sample.value))
    histograms = {name.removesuffix("_bucket") for name in families if name.endswith("_bucket")}
    lines: list[str] = []
    said: set[str] = set()
    for name in sorted(families, key=lambda each: (_family(each, histograms), each)):
        family = _family(name, histograms)
        if family not in said:
            said.add(family)
            lines.append(f"# TYPE {family} {_type(family, histograms)}")
        for labels, value in families[name]:
            shown = {key: text for key, text in labels.items() if key != METRIC_NAME}
            if without.items() <= shown.items():
                shown = {key: text for key, text in shown.items() if key not in without}
            else:
                shown = {**dict.fromkeys(without, ""), **shown}
            written = ",".join(f'{key}="{_escaped(text)}"' for key, text in shown.items())
            lines.append(f"{name}{{{written}}} {_number(value)}" if written else f"{name} {_number(value)}")
    return "\n".join([*lines, ""])


def _family(name: str, histograms: set[str]) -> str:
    for suffix in _OF_HISTOGRAMS:
        if name.endswith(suffix) and name.removesuffix(suffix) in histograms:
            return name.removesuffix(suffix)
    return name


def _type(family: str, histograms: set[str]) -> str:
    if family in histograms:
        return "histogram"
    return "counter" if family.endswith("_total") else "gauge"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
