"""The server's own metrics in Prometheus's text: read by Prometheus's own client, with nothing lost or doubled."""

from __future__ import annotations

import math

from prometheus_client.parser import text_string_to_metric_families

from otelmon.histogram import Buckets, Histogram
from otelmon.labels import METRIC_NAME, Labels
from otelmon.sample import STALE, Sample
from otelmon.server.exposition import exposition

OWN = Labels({"job": "otelmon", "instance": "node-1"})


def sample(name: str, value: float | Histogram, **labels: str) -> Sample:
    return Sample(labels=Labels({METRIC_NAME: name, **labels}), at=1.0, value=value)


def own(name: str, value: float | Histogram, **labels: str) -> Sample:
    return sample(name, value, **OWN, **labels)


def test_counters_gauges_and_histograms_arrive_under_their_types() -> None:
    text = exposition(
        [
            own("otelmon_tick_duration_seconds_sum", 1.5),
            own("otelmon_export_sent_total", 7.0),
            own("otelmon_tick_duration_seconds_bucket", 2.0, le="0.1"),
            own("otelmon_tick_duration_seconds_bucket", 3.0, le="+Inf"),
            own("otelmon_series", 12.0),
            own("otelmon_tick_duration_seconds_count", 3.0),
        ],
        without=OWN,
    )
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert {name: family.type for name, family in found.items()} == {
        "otelmon_export_sent": "counter",
        "otelmon_series": "gauge",
        "otelmon_tick_duration_seconds": "histogram",
    }
    assert found["otelmon_series"].samples[0].labels == {}
    histogram = {
        (each.name, each.labels.get("le")): each.value for each in found["otelmon_tick_duration_seconds"].samples
    }
    assert histogram == {
        ("otelmon_tick_duration_seconds_bucket", "0.1"): 2.0,
        ("otelmon_tick_duration_seconds_bucket", "+Inf"): 3.0,
        ("otelmon_tick_duration_seconds_sum", None): 1.5,
        ("otelmon_tick_duration_seconds_count", None): 3.0,
    }


def test_what_is_of_others_keeps_its_job_and_any_text_survives() -> None:
    name = 'a "quoted"\nback\\slash'
    text = exposition([sample("otelmon_instance_up", 1.0, job="shop", instance=name)], without=OWN)
    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels == {"job": "shop", "instance": name}


def test_what_is_of_no_instance_says_so_for_prometheus_would_add_the_servers_own() -> None:
    text = exposition([sample("otelmon_service_instances", 2.0, job="shop")], without=OWN)
    assert text.splitlines()[1:] == ['otelmon_service_instances{instance="",job="shop"} 2.0']


def test_what_ended_and_what_the_format_has_no_words_for_is_left_out() -> None:
    native = Histogram(count=1.0, sum=1.0, scale=0, positive=Buckets(indices=(1,), counts=(1.0,)))
    text = exposition(
        [own("gone", STALE), own("native", native), own("high", math.inf), own("odd", math.nan)], without=OWN
    )
    assert text.splitlines() == ["# TYPE high gauge", "high +Inf", "# TYPE odd gauge", "odd NaN"]
