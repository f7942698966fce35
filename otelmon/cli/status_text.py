"""The text of `otelmon status`: lines of at most 80 columns, but where a name or a reason is longer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.cells import cell_len

from otelmon.duration import format_duration
from otelmon.labels import Labels
from otelmon.paging.visible import ELLIPSIS, one_line

Status = dict[str, Any]
Line = tuple[str, str]
"""A mark (``!`` what is wrong, ``*`` what wants a look, else empty) and a text."""

_MOST = 15
_MOST_REJECTIONS = 5
# Labels that stand beside an alert.
_KNOWN = frozenset({"alertname", "severity"})
_WIDTH = 80
_MOST_REASON = 200
_LAST = 24  # so much of the last column should have room


def status_lines(found: Status) -> Iterator[Line]:
    """Everything, in the order in which somebody at night asks: is it watched, what fires, who has it, who was told."""
    at = found["monitor"]["at"]
    sections = (
        _monitor(found["monitor"], at),
        _incidents(found["monitor"], at),
        _alerts(found["monitor"], at),
        _signs(found["snapshot"]),
        _named(found["snapshot"]),
        _delivery(found["delivery"], at, paging=found["monitor"]["paging"]),
        _rules(found["rules"]),
        _faults(found["monitor"]),
    )
    for number, section in enumerate(sections):
        lines = list(section)
        if lines and number:
            yield "", ""
        yield from lines


def _monitor(said: Mapping[str, Any], at: float) -> Iterator[Line]:
    where = f", {one_line(said['environment'])}" if said["environment"] else ""
    yield "", f"{one_line(said['service'])} on {one_line(said['instance'])}{where} (process {said['process']})"
    paging = "on" if said["paging"] else "off, nobody is told"
    yield "" if said["paging"] else "*", f"up {_lasted(said['uptime_seconds'])}, paging {paging}"
    tick = said["tick"]
    if tick is None:
        yield "*", "no tick has ended yet"
    else:
        bad = tick["problem"] or ("it is late" if tick["late"] else "")
        took = f"took {_took(tick['seconds'])} (rules {_took(said['evaluation_seconds'])})"
        every = format_duration(said["interval_seconds"])
        yield ("!" if bad else ""), f"last tick {_lasted(at - tick['at'])} ago, {took}, every {every}"
        if bad:
            yield "!", f"  not good: {bad}"
        if said["failed_ticks"]:
            yield "*", f"  {said['failed_ticks']} of {said['ticks']} ticks were not good"
    full = said["series_overflow"] > 0
    dropped = f", {said['series_overflow']} samples dropped" if full else ""
    yield ("!" if full else ""), f"{said['series']} series of at most {said['max_series']}{dropped}"
    for name, title in (("export", "OTLP export"), ("heartbeat", "heartbeat")):
        figures = said[name]
        if figures is not None:
            to = f" to {figures['to']}" if "to" in figures else ""
            failed = f", {figures['failed']} failed" if figures["failed"] else ""
            yield ("*" if failed else ""), f"{title}{to}: {figures['sent']} sent{failed}"


def _incidents(said: Mapping[str, Any], at: float) -> Iterator[Line]:
    incidents = said["incidents"]
    if not incidents:
        yield "", "no open incidents"
        return
    yield "", f"{said['incidents_open']} open incident{_s(said['incidents_open'])}"
    rows = []
    for each in incidents[:_MOST]:
        who = f"acknowledged by {one_line(each['acknowledged_by'])}" if each["acknowledged_by"] else "nobody has it"
        state = "muted" if each["firing"] and not each["visible"] else who
        title = one_line(each["title"]) + (f" ({each['firing']} alerts)" if each["firing"] > 1 else "")
        if each["service"] not in {"", said["service"]}:
            title += f" on {one_line(each['service'])}"
        title += f" of {each['tenant']}" if each.get("tenant") else ""
        cells = (each["id"], each["severity"], title, _lasted(at - each["since"]), state)
        rows.append((_mark(each["severity"], quiet=not each["visible"]), cells))
    yield from _table(rows)
    yield from _rest(said["incidents_open"])


def _alerts(said: Mapping[str, Any], at: float) -> Iterator[Line]:
    firing, pending = said["alerts_firing"], said["alerts_pending"]
    if not firing and not pending:
        yield "", "nothing fires, nothing is pending"
        return
    yield "", f"{firing} alert{_s(firing)} fire{'s' if firing == 1 else ''}, {pending} pending"
    # What every alert of the monitor's own service has says nothing; under `otelmon serve` these differ.
    own = {"job": said["service"], "instance": said["instance"]}
    rows = []
    for each in said["alerts"][:_MOST]:
        named = {name: text for name, text in each["labels"].items() if name not in _KNOWN and own.get(name) != text}
        labels = Labels(named)
        what = one_line(f"{each['name']}{labels or ''}")
        waits = each["state"] == "pending"
        value = _number(float(each["value"]))
        cells = (each["state"], each["severity"], what, _lasted(at - each["since"]), value)
        rows.append((_mark(each["severity"], quiet=waits), cells))
    yield from _table(rows)
    yield from _rest(firing + pending)


def _signs(signs: Mapping[str, Any]) -> Iterator[Line]:
    """The vital signs of the last five minutes."""
    rate, errors = signs["request_rate"], signs["error_rate"]
    share = None if errors is None else 100 * errors
    yield "", f"requests   {_or_dash(rate, '/s')}, errors {_or_dash(share, ' %')}"
    times = ", ".join(f"{name} {_or_dash(signs[f'response_time_{name}'], ' ms')}" for name in ("p50", "p95", "p99"))
    yield "", f"latency    {times}"
    host = ", ".join(f"{name} {_or_dash(signs[f'{name}_usage'], ' %')}" for name in ("cpu", "memory", "disk"))
    yield "", f"host       {host}"


def _named(signs: Mapping[str, Any]) -> Iterator[Line]:
    """What has names of its own: services that send, pools, Redis, probes, queues, operations."""
    rows: list[tuple[str, tuple[str, ...]]] = []

    def add(kind: str, mark: str, name: str, text: str) -> None:
        rows.append((mark, (kind, one_line(name), text)))

    for name, instances in signs["services"].items():
        sends = f"{instances} instance{_s(instances)} send{'' if instances > 1 else 's'}"
        add("service", "" if instances else "!", name, sends if instances else "none of its instances sends")
    for name, pool in signs["pools"].items():
        waiting = f", {_number(pool['pending'])} wait" if pool["pending"] else ""
        add("pool", "*" if waiting else "", name, f"{_or_dash(pool['usage'], ' %')} used{waiting}")
    for kind, which in (("redis", "redis"), ("probe", "probes")):
        for name, up in signs[which].items():
            add(kind, "" if up else "!", name, "up" if up else "down")
    for name, queue in signs["queues"].items():
        oldest = f", the oldest for {_lasted(queue['oldest_age'])}" if queue["oldest_age"] else ""
        add("queue", "", name, f"{_or_dash(queue['depth'], '')} wait{oldest}")
    for name, operation in signs["operations"].items():
        failures = operation["failures"]
        text = f"{_number(operation['attempts'])} in 15m, {_number(failures)} failed"
        add("operation", "*" if failures else "", name, text)
    yield from _table(rows, indent="")


def _delivery(said: Mapping[str, Any], at: float, *, paging: bool) -> Iterator[Line]:
    if not paging:
        return
    rows = []
    for each in said["notifiers"]:
        owed = f"{each['owed']} owed" if each["owed"] else "nothing owed"
        if each["oldest_at"] is not None:
            owed += f" since {_lasted(at - each['oldest_at'])}"
        if each["late"]:
            owed += f", {each['late']} late"
        figures = f"{each['delivered']} sent, {each['retried']} failed, {each['rejected']} rejected"
        mark = "!" if each["late"] or each["rejected"] else "*" if each["retried"] else ""
        rows.append((mark, (one_line(each["name"]), figures, owed)))
    yield "", "pages"
    yield from _table(rows)
    for each in said["notifiers"]:
        if each["last_error"] and each["last_error_at"] is not None:
            ago = _lasted(at - each["last_error_at"])
            yield "*", f"  {one_line(each['name'])}, {ago} ago: {_reason(each['last_error'])}"
    for each in said["rejections"][:_MOST_REJECTIONS]:
        when = f"{datetime.fromtimestamp(each['at']).astimezone():%Y-%m-%d %H:%M}"
        what = f"{one_line(each['title'])} ({each['incident']}, {each['page']})"
        yield "!", f"  rejected by {one_line(each['notifier'])} {when}: {what}"
        yield "!", f"    {_reason(each['reason'])}"


def _rules(rules: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    broken = [each for each in rules if each["problem"]]
    if broken:
        yield "!", f"{len(broken)} of {len(rules)} rules cannot be evaluated"
        for each in broken[:_MOST]:
            name = one_line(each["name"]) + (f" of {each['tenant']}" if each.get("tenant") else "")
            yield "!", f"  {name} ({one_line(each['file'])}:{each['line']}): {_reason(each['problem'])}"
        yield from _rest(len(broken))


def _faults(said: Mapping[str, Any]) -> Iterator[Line]:
    faults = {kind: count for kind, count in said["faults"].items() if count}
    if not faults:
        yield "", "no faults of otelmon itself"
        return
    yield "*", "faults of otelmon itself since its start (their causes are in the app's log)"
    for kind, count in sorted(faults.items(), key=lambda each: -each[1])[:_MOST]:
        yield "*", f"  {one_line(kind)} {count}"
    yield from _rest(len(faults))


def _table(rows: Sequence[tuple[str, Sequence[str]]], *, indent: str = "  ") -> Iterator[Line]:
    """Columns that line up while they fit; a cell that is too long for its column moves only its own line."""
    if not rows:
        return
    room = _WIDTH - len(indent) - 2 * (len(rows[0][1]) - 1)
    widths = [max(map(cell_len, column)) for column in zip(*(cells for _, cells in rows), strict=True)]
    while sum(widths[:-1]) > room - min(widths[-1], _LAST) and max(widths[:-1]) > 8:
        widths[widths.index(max(widths[:-1]))] -= 1
    for mark, cells in rows:
        padded = (cell + " " * max(0, width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True))
        yield mark, (indent + "  ".join(padded)).rstrip()


def _rest(count: int) -> Iterable[Line]:
    if count > _MOST:
        yield "", f"  and {count - _MOST} more"


def _reason(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _MOST_REASON else line[: _MOST_REASON - 1] + ELLIPSIS


def _mark(severity: str, *, quiet: bool) -> str:
    return "" if quiet else "!" if severity == "critical" else "*"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _lasted(seconds: float) -> str:
    return format_duration(float(max(0, round(seconds))))


def _took(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _or_dash(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{_number(value)}{unit}"
