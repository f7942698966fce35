"""OpenTelemetry's spelling of metrics and attributes in expressions, rewritten to Prometheus's.

otelmon keeps series by their Prometheus names. ``{"http.server.request.duration"}`` therefore becomes
``{"http_server_request_duration_seconds"}``, ``{"http.route"="/pay"}`` becomes ``{"http_route"="/pay"}``, and so do
labels in ``by (...)`` and the like. A metric's unit and kind are part of its Prometheus name and are not in its
OpenTelemetry name: they are known for the metrics below; for any other name with a dot the Prometheus name has to be
written. Applied to the rules of otelmon.yaml; a Prometheus rule file keeps its meaning.
"""

from __future__ import annotations

import re

from otelmon.collect.names import Kind, label_name, metric_name
from otelmon.errors import PromQLError
from otelmon.promql.lex import Token, TokenKind, tokens_of
from otelmon.promql.literals import string_value

# Semantic conventions 1.44 (http, db, system, process) and otelmon's own metrics: unit and kind.
_KNOWN = {
    "http.server.request.duration": ("s", Kind.HISTOGRAM),
    "http.server.active_requests": ("{request}", Kind.UP_DOWN),
    "http.client.request.duration": ("s", Kind.HISTOGRAM),
    "db.client.operation.duration": ("s", Kind.HISTOGRAM),
    "db.client.connection.count": ("{connection}", Kind.UP_DOWN),
    "db.client.connection.max": ("{connection}", Kind.UP_DOWN),
    "db.client.connection.pending_requests": ("{request}", Kind.UP_DOWN),
    "db.client.connection.timeouts": ("{timeout}", Kind.COUNTER),
    "db.client.connection.wait_time": ("s", Kind.HISTOGRAM),
    "system.filesystem.utilization": ("1", Kind.GAUGE),
    "process.memory.usage": ("By", Kind.UP_DOWN),
    "otelmon.event_stream.duration": ("s", Kind.HISTOGRAM),
    "otelmon.websocket.duration": ("s", Kind.HISTOGRAM),
    "otelmon.memory.usage": ("By", Kind.UP_DOWN),
    "otelmon.memory.limit": ("By", Kind.UP_DOWN),
    "otelmon.cpu.time": ("s", Kind.COUNTER),
    "otelmon.cpu.limit": ("{cpu}", Kind.UP_DOWN),
    "otelmon.event_loop.lag": ("s", Kind.GAUGE),
}
_HISTOGRAM_PART = re.compile(r"(.*?)(_bucket|_count|_sum)?", re.DOTALL)
_LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_MATCH_OPERATORS = {"=", "!=", "=~", "!~"}


def prometheus_spelling(text: str) -> str:
    """The expression with OpenTelemetry's names replaced; the same text where it has none.

    ``text`` has to be an expression that parses. Raises PromQLError, at the name, for a metric whose Prometheus name
    cannot be known.
    """
    if "." not in text:
        return text
    tokens = tokens_of(text)
    changes = [
        (token, written)
        for place, token in enumerate(tokens)
        if token.kind is TokenKind.STRING and (written := _rewritten(tokens, place, text)) is not None
    ]
    for token, written in reversed(changes):
        text = f'{text[: token.start]}"{written}"{text[token.end :]}'
    return text


def _rewritten(tokens: list[Token], place: int, text: str) -> str | None:
    """What the string at ``place`` becomes; None where it is no name, or one without a dot."""
    name = string_value(tokens[place].text)
    if "." not in name:
        return None
    before = tokens[place - 1].text if place else ""
    after = tokens[place + 1].text
    opening = _opening(tokens, place)
    if opening is None:
        return None
    if tokens[opening].text == "{":
        if before not in ("{", ","):
            return None
        if after in _MATCH_OPERATORS:
            return label_name(name)
        return _metric(name, tokens[place], text)
    is_label_list = opening > 0 and tokens[opening].text == "(" and tokens[opening - 1].text.lower() in _LABEL_LISTS
    return label_name(name) if is_label_list else None


def _opening(tokens: list[Token], place: int) -> int | None:
    """The bracket that a token stands in."""
    depth = 0
    for index in range(place - 1, -1, -1):
        if tokens[index].kind is not TokenKind.SIGN:
            continue
        if tokens[index].text in (")", "}", "]"):
            depth += 1
        elif tokens[index].text in ("(", "{", "["):
            if depth == 0:
                return index
            depth -= 1
    return None


def _metric(name: str, token: Token, text: str) -> str:
    match = _HISTOGRAM_PART.fullmatch(name)
    base, part = (name, "") if match is None else (match[1], match[2] or "")
    known = _KNOWN.get(base)
    if known is None:
        spelled = metric_name(name, "", Kind.GAUGE)
        message = (
            f"no series is kept under the name {name!r}; write its Prometheus name: {spelled}_total for a counter, "
            f"{spelled} for a gauge, with the unit before _total or at the end (such as _seconds, _bytes)"
        )
        raise PromQLError(message, text=text, start=token.start, end=token.end)
    return metric_name(base, *known) + part
