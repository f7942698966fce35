"""Checks a collector configuration: each function gives the problems it sees, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.collector_config.components import (
    CLASSES,
    CONNECTORS,
    DETECTORS,
    FILTER_PATHS,
    OTTL_FUNCTIONS,
    OTTL_PATHS,
    SERVICE,
    SPAN_KINDS,
    Shape,
)
from tests.collector_config.documents import GRPC, HTTP, texts

_VARIABLE = re.compile(r"\$\{env:[A-Z][A-Z0-9_]*(?::-[^${}]*)?\}")
_SECRET = re.compile(r"authorization|token|password|secret|api[-_]?key|credential", re.IGNORECASE)
_OTTL_WORDS = OTTL_FUNCTIONS | SPAN_KINDS | {"where", "and", "or", "not", "nil", "true", "false"}
_PORT = re.compile(r":(\d+)/?$")


def problems(config: Mapping[str, Any]) -> list[str]:
    """All that is wrong with it."""
    return [
        *_structure(config),
        *_pipelines(config),
        *_order(config),
        *_variables(config),
        *_ports(config),
        *_ottl(config),
    ]


def variables(text: str) -> tuple[set[str], set[str]]:
    """What a configuration, the collector's or otelmon's, reads from the environment: without a default, and in all."""
    bare = re.sub(r"^ *#.*$", "", text, flags=re.MULTILINE)
    found = re.findall(r"\$\{(?:env:)?(\w+)(:-)?", bare)
    return {name for name, default in found if not default}, {name for name, _ in found}


def _type(name: str) -> str:
    return name.partition("/")[0]


def _structure(config: Mapping[str, Any]) -> Iterator[str]:
    for key in config:
        if key not in {*CLASSES, "service"}:
            yield f"{key}: no section of a collector's configuration"
    for kind, known in CLASSES.items():
        for name, options in (config.get(kind) or {}).items():
            component = known.get(_type(name))
            if component is None:
                yield f"{kind}: {name}: no component of this name is known"
            else:
                yield from _options(options, component.options, f"{kind}.{name}")
    yield from _options(config.get("service"), SERVICE, "service")
    for name, options in (config.get("processors") or {}).items():
        if _type(name) == "resourcedetection":
            for detector in set(options["detectors"]) - DETECTORS:
                yield f"processors.{name}: no detector is called {detector}"


def _options(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if shape is None or value is None:
        return
    if isinstance(value, list):
        for each in value:
            yield from _options(each, shape, path)
        return
    if not isinstance(value, dict):
        yield f"{path}: a section of options expected"
        return
    for key, inner in value.items():
        if key in shape or "*" in shape:
            yield from _options(inner, shape.get(key, shape.get("*")), f"{path}.{key}")
        else:
            yield f"{path}: {key} is no option of it"


def _pipelines(config: Mapping[str, Any]) -> Iterator[str]:
    """Whatever a pipeline names is defined and takes its signal; whatever is defined is used; connectors join two."""
    defined = {kind: set(config.get(kind) or {}) for kind in CLASSES}
    used: dict[str, set[str]] = {kind: set() for kind in CLASSES}
    ends = _Ends()
    service = config.get("service", {})
    for pipeline, parts in service.get("pipelines", {}).items():
        if _type(pipeline) not in {"traces", "metrics", "logs"}:
            yield f"{pipeline}: no signal"
            continue
        for role in ("receivers", "processors", "exporters"):
            names = parts.get(role) or []
            if not names and role != "processors":
                yield f"{pipeline}: it has no {role}"
            for name in names:
                kind = "connectors" if name in defined["connectors"] and role != "processors" else role
                used[kind].add(name)
                if kind == "connectors":
                    ends.add(name, role, _type(pipeline))
                elif name not in defined[kind]:
                    yield f"{pipeline}: {name} is not defined among the {role}"
                elif (known := CLASSES[kind].get(_type(name))) and _type(pipeline) not in known.signals:
                    yield f"{pipeline}: {name} takes no {_type(pipeline)}"
    used["extensions"] = set(service.get("extensions") or [])
    for name in used["extensions"] - defined["extensions"]:
        yield f"service: {name} is not defined among the extensions"
    for kind, names in defined.items():
        yield from (f"{kind}: {name} is defined and not used" for name in sorted(names - used[kind]))
    yield from ends.problems()


class _Ends:
    """Which signals go into each connector, and which come out."""

    def __init__(self) -> None:
        self._signals: dict[str, dict[str, set[str]]] = {}

    def add(self, name: str, role: str, signal: str) -> None:
        self._signals.setdefault(name, {"exporters": set(), "receivers": set()})[role].add(signal)

    def problems(self) -> Iterator[str]:
        for name, signals in self._signals.items():
            pairs = {(one, other) for one in signals["exporters"] for other in signals["receivers"]}
            known = CONNECTORS.get(_type(name))
            if not pairs:
                yield f"connectors: {name} joins no two pipelines"
            for one, other in pairs - (known.pairs if known else pairs):
                yield f"connectors: {name} makes no {other} of {one}"


def _order(config: Mapping[str, Any]) -> Iterator[str]:
    """memory_limiter comes first where a receiver feeds a pipeline, batch last where an exporter ends it."""
    connectors = set(config.get("connectors") or {})
    for pipeline, parts in config.get("service", {}).get("pipelines", {}).items():
        types = [_type(name) for name in parts.get("processors") or []]
        if set(parts.get("receivers") or []) - connectors:
            if types[:1] != ["memory_limiter"]:
                yield f"{pipeline}: memory_limiter is not its first processor"
        elif "memory_limiter" in types:
            yield f"{pipeline}: memory_limiter behind a connector refuses what is half on its way"
        if set(parts.get("exporters") or []) - connectors and types[-1:] != ["batch"]:
            yield f"{pipeline}: batch is not its last processor"


def _variables(config: Mapping[str, Any]) -> Iterator[str]:
    """Variables are written ${env:NAME}, a dollar sign $$, and no secret is written out."""
    for path, text in texts(config):
        if "$" in _VARIABLE.sub("", text).replace("$$", ""):
            yield f"{path}: write ${{env:NAME}} for a variable and $$ for a dollar sign"
        if _SECRET.search(path.rpartition(".")[2]) and not _VARIABLE.search(text):
            yield f"{path}: a secret that is written out"
        if re.search(r"//[^/@]+:[^/@$]+@", text):
            yield f"{path}: a password in an address"


def _ports(config: Mapping[str, Any]) -> Iterator[str]:
    """The OTLP receiver listens on OTLP's ports; otelmon is sent to on the one of the exporter's protocol."""
    for name, options in (config.get("receivers") or {}).items():
        if _type(name) == "otlp":
            for protocol, port in (("grpc", GRPC), ("http", HTTP)):
                endpoint = ((options["protocols"] or {}).get(protocol) or {}).get("endpoint", "")
                found = _PORT.search(endpoint)
                if found is None or int(found[1]) != port:
                    yield f"receivers.{name}: {protocol} listens on {endpoint!r} and not on port {port}"
    for name, options in (config.get("exporters") or {}).items():
        endpoint = options.get("endpoint", "")
        found = _PORT.search(_VARIABLE.sub("", endpoint))
        if found and int(found[1]) != {"otlp": GRPC, "otlphttp": HTTP}[_type(name)]:
            yield f"exporters.{name}: {endpoint} is another protocol's port"


def statements(config: Mapping[str, Any]) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Each OTTL statement or condition: where it stands, its text, what its paths may begin with."""
    for name, options in (config.get("processors") or {}).items():
        if _type(name) == "transform":
            for key, lines in options.items():
                if key.endswith("_statements"):
                    yield from ((f"{name}.{key}", line, OTTL_PATHS) for line in lines)
        elif _type(name) == "filter":
            for context, paths in FILTER_PATHS.items():
                for signal in ("traces", "metrics", "logs"):
                    for line in (options.get(signal) or {}).get(context) or []:
                        yield f"{name}.{signal}.{context}", line, paths


def _ottl(config: Mapping[str, Any]) -> Iterator[str]:
    """Not the grammar: its functions and paths are known, and what is opened is closed."""
    for path, text, paths in statements(config):
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
        if bare.count('"') % 2 or any(bare.count(one) != bare.count(other) for one, other in ("()", "[]")):
            yield f"{path}: something is not closed in {text!r}"
            continue
        for function in set(re.findall(r"([A-Za-z_]\w*)\(", bare)) - OTTL_FUNCTIONS:
            yield f"{path}: no function of OTTL is called {function}"
        words = re.findall(r"(?<![\w.\]])([A-Za-z_][\w.]*)(?!\w*\()", bare)
        for word in words:
            if word not in _OTTL_WORDS and word.partition(".")[0] not in paths:
                yield f"{path}: {word} is no path there"
