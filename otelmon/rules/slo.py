"""The short form ``slo:`` of otelmon.yaml, expanded to the burn-rate alerts of the Google SRE workbook.

slo:
  requests: {objective: 99.9}                      built in: requests that do not fail, of all requests
  checkout:
    objective: 99.5
    window: 30d
    good: shop_checkouts_total{result="ok"}        a counter, or an expression of increases over [5m]
    total: shop_checkouts_total

"Multiwindow, Multi-Burn-Rate Alerts", https://sre.google/workbook/alerting-on-slos/: a burn rate of 1 spends the whole
error budget within the SLO's window. An alert fires where the long window has spent a given share of
the budget and the short one, a twelfth of it, still burns as fast, so that it ends soon after the fault does.

Long windows are sums of views, taken every 5m, of events that went wrong and of all events. A ratio of sums is weighted
by traffic; an average of ratios would count a bad night as much as a bad noon. The last 5m come from the counters
themselves, so that an alert need not wait for the next view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otelmon.document.fields import Fields, Problems, as_boolean
from otelmon.document.model import Entry, Scalar, Section, Value, describe, is_empty
from otelmon.duration import format_duration
from otelmon.errors import PromQLError
from otelmon.labels import Labels
from otelmon.promql.analyze import walk
from otelmon.promql.ast import Expr, MatrixSelector, Number, Paren, Subquery, VectorSelector
from otelmon.promql.parse import parse
from otelmon.rules.expression import read_expression
from otelmon.rules.load import check_template
from otelmon.rules.model import AlertingRule, Group, Origin, RecordingRule, Rule, Severity
from otelmon.rules.spelling import prometheus_spelling

RUNBOOK = "error_budget"
STEP_SECONDS = 300.0
"""How often views are taken, and over how long: they follow one another without a gap or an overlap."""

_DAY = 86_400.0
_KEYS = (
    "objective", "window", "good", "errors", "total", "by", "page", "ticket", "enabled", "description", "runbook",
)  # fmt: skip
_SEVERITIES = (*(severity.value for severity in reversed(Severity)), "off")
# What is asked of requests, as the built-in error_rate asks it.
_REQUESTS = "http_server_request_duration_seconds_count"
_FAILED_REQUESTS = (
    f'increase({_REQUESTS}{{http_response_status_code=~"5..|"}}[5m]) or increase({_REQUESTS}'
    '{http_response_status_code=~"[1-4]..",error_type!~"|[1-5]..|.*Disconnect.*|.*CancelledError"}[5m])'
)
READY = {"requests": (_FAILED_REQUESTS, f"increase({_REQUESTS}[5m])")}
"""SLOs that need an objective only: what went wrong, and all there was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Burn:
    """A row of the workbook's table: the share of the budget, and within which windows (seconds)."""

    share: float
    long: float
    short: float
    pages: bool


# For 30 days these are burn rates of 14.4, 6, 3 and 1.
_BURNS = (
    _Burn(share=0.02, long=3600.0, short=300.0, pages=True),
    _Burn(share=0.05, long=6 * 3600.0, short=1800.0, pages=True),
    _Burn(share=0.1, long=_DAY, short=7200.0, pages=False),
    _Burn(share=0.1, long=3 * _DAY, short=6 * 3600.0, pages=False),
)
# An objective so low that not even an outage burns as fast as the table asks: then nearly an outage is enough.
_MOST_OF_AN_OUTAGE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slo:
    name: str
    objective: float  # a ratio
    window: float
    errors: str
    total: str
    by: tuple[str, ...]
    severities: tuple[str, str]  # of what pages, and of what makes a ticket; off for neither
    description: str
    runbook: str
    origin: Origin

    @property
    def budget(self) -> float:
        """Which share of the events may go wrong, without the noise of subtracting decimals."""
        return round(1.0 - self.objective, 12)

    @property
    def selector(self) -> str:
        return f'{{slo="{self.name}"}}'


def expand_slos(value: Value | None, problems: Problems, *, interval_seconds: float) -> tuple[Group, ...]:
    """The groups that ``slo:`` stands for: for each SLO its views and alerts, evaluated each time, and the views that
    are taken every 5m and kept. Faults are noted, with their place.
    """
    if value is None or is_empty(value):
        return ()
    if not isinstance(value, Section):
        problems.add(value, f"a section of SLOs expected, not {describe(value)}", key="slo", hint=_HINT)
        return ()
    if interval_seconds > STEP_SECONDS / 2:
        hint = f"write interval: {format_duration(STEP_SECONDS / 2)} or less"
        problems.add(value, "events are counted over 5m, which needs two samples within", key="interval", hint=hint)
    groups: list[Group] = []
    for entry in value.entries.values():
        slo = _read(entry, problems)
        if slo is not None:
            groups += _groups(slo)
    return tuple(groups)


_HINT = "write requests: {objective: 99.9}, or a name with objective, good (or errors) and total"


def _read(entry: Entry, problems: Problems) -> _Slo | None:
    name, value = entry.key.text, entry.value
    key = f"slo.{name}"
    # It is written into expressions, and begins the alert's name.
    if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii():
        problems.add(entry.key, f"{name!r} is no name", key="slo", hint="write letters, digits, - and _")
        return None
    if not isinstance(value, Section):
        if name in READY and isinstance(value, Scalar) and as_boolean(value) is False:
            return None
        problems.add(entry.key if is_empty(value) else value, f"{describe(value)} is no SLO", key=key, hint=_HINT)
        return None
    fields = Fields(value, problems, known=_KEYS, path=key)
    enabled = fields.boolean("enabled")
    objective = _objective(fields)
    window = fields.duration("window", low=7 * _DAY, high=90 * _DAY) or 30 * _DAY
    by = _by(fields)
    errors, total = _events(fields, name)
    severities = fields.choice("page", _SEVERITIES), fields.choice("ticket", _SEVERITIES)
    texts = []
    for each in ("description", "runbook"):
        text = fields.value(each)
        if isinstance(text, Scalar):
            check_template(text, problems, key=fields.key(each))
        texts.append(fields.text(each) or "")
    if objective is None or errors is None or total is None or enabled is False:
        return None
    return _Slo(
        name=name,
        objective=objective,
        window=window,
        errors=_errors(fields, errors, total, by),
        total=_summed(total, by),
        by=by,
        severities=(severities[0] or Severity.CRITICAL.value, severities[1] or Severity.WARNING.value),
        description=texts[0],
        runbook=texts[1],
        origin=Origin(file=entry.key.source.name, line=entry.key.place.line),
    )


def _objective(fields: Fields) -> float | None:
    """``99.9`` or ``99.9%``, as a ratio."""
    text = fields.text("objective", what="a number of percent")
    if text is None:
        if fields.entry("objective") is None:
            fields.fault("objective", "an SLO needs its objective", "write objective: 99.9")
        return None
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        fields.fault("objective", f"{text.strip()!r} is no number of percent", "write objective: 99.9")
        return None
    if 0 < percent <= 1:
        hint = f"write {percent * 100:g} if that is meant"
        fields.fault("objective", f"{text.strip()} is taken as percent, and so asks for nearly nothing", hint)
        return None
    if not 50 <= percent < 100:
        message = f"{text.strip()} is out of bounds"
        fields.fault("objective", message, "write 50 to 99.999: an objective of 100 leaves no budget to spend")
        return None
    return round(percent / 100, 12)


def _by(fields: Fields) -> tuple[str, ...]:
    listing = fields.listing("by")
    if listing is None:
        return ("job",)
    found = []
    for item in listing.items:
        text = item.text.strip() if isinstance(item, Scalar) else ""
        if not text.replace("_", "a").isalnum() or not text.isascii() or text[0].isdigit() or text == "slo":
            fields.problems.add(item, f"{describe(item)} is no label", key=fields.key("by"), hint="write [job]")
            continue
        found.append(text)
    return tuple(found)


def _events(fields: Fields, name: str) -> tuple[str | None, str | None]:
    """What went wrong (or well) and all there was, as increases over 5m; None after a fault."""
    given = [each for each in ("good", "errors", "total") if fields.entry(each) is not None]
    if name in READY:
        for each in given:
            hint = "give your SLO another name"
            fields.fault(each, f"the SLO {name!r} is built in and has its own", hint)
        return READY[name]
    if "good" in given and "errors" in given:
        fields.fault("errors", "good and errors say the same", "write one of them")
    if "good" not in given and "errors" not in given:
        fields.fault("good", "an SLO needs its good events, or its errors", "write good: and a counter")
    if "total" not in given:
        fields.fault("total", "an SLO needs all its events", "write total: and a counter")
    found = {each: _increase(fields, each) for each in given}
    return found.get("good", found.get("errors")), found.get("total")


def _increase(fields: Fields, name: str) -> str | None:
    """The events of the last 5m: a bare counter is taken so, an expression has to say so."""
    scalar = fields.value(name)
    if not isinstance(scalar, Scalar) or is_empty(scalar):
        fields.fault(name, "a counter or an expression expected")
        return None
    key = fields.key(name)
    expr = read_expression(scalar, fields.problems, key=key)
    if expr is None:
        return None
    try:
        text = prometheus_spelling(scalar.text.strip())
    except PromQLError as error:
        fields.problems.add(scalar, error.message, key=key, place=scalar.place_at(error.start))
        return None
    bare = expr
    while isinstance(bare, Paren):
        bare = bare.expr
    if isinstance(bare, VectorSelector):
        if bare.offset is not None or bare.at is not None:
            fields.fault(name, "events are counted as they come", "take offset and @ away")
            return None
        return f"increase({text}[5m])"
    return text if _is_of_five_minutes(fields, name, expr) else None


def _is_of_five_minutes(fields: Fields, name: str, expr: Expr) -> bool:
    hint = 'write a counter such as shop_orders_total{result="ok"}, or increase(...[5m])'
    nodes = list(walk(expr))
    if any(isinstance(node, Subquery) for node in nodes):
        fields.fault(name, "a subquery counts events more than once", hint)
        return False
    ranges = [node for node in nodes if isinstance(node, MatrixSelector)]
    if not ranges:
        fields.fault(name, "this is no number of events: it has no range", hint)
        return False
    for node in ranges:
        if not isinstance(node.range, Number) or node.range.value != STEP_SECONDS:
            scalar = fields.value(name)
            assert isinstance(scalar, Scalar)  # noqa: S101 (it was read as one)
            message, write = "events are counted every 5m, so each range has to be that long", "write [5m]"
            place = scalar.place_at(node.range.start)
            fields.problems.add(scalar, message, key=fields.key(name), hint=write, place=place)
            return False
    return True


def _summed(text: str, by: Sequence[str]) -> str:
    return f"sum by ({', '.join(by)}) ({text})"


def _errors(fields: Fields, text: str, total: str, by: Sequence[str]) -> str:
    """What went wrong, also where nothing has yet (0) and where nothing goes well any more (all)."""
    none = f"0 * {_summed(total, by)}"
    if fields.entry("good") is None:
        return f"{_summed(text, by)} or {none}"
    return f"clamp_min({_summed(total, by)} - ({_summed(text, by)} or {none}), 0)"


def _groups(slo: _Slo) -> tuple[Group, Group]:
    spent = f"slo:budget_spent:{format_duration(slo.window)}"
    rules: list[Rule] = [
        _record(slo, "slo:errors:increase5m", slo.errors),
        _record(slo, "slo:events:increase5m", slo.total),
        _record(slo, _burn_name(STEP_SECONDS), f"{_ratio(slo, STEP_SECONDS)} / {slo.budget:.12g}"),
    ]
    windows = sorted({seconds for burn in _BURNS for seconds in (burn.long, burn.short)} - {STEP_SECONDS})
    rules += [_record(slo, _burn_name(each), f"{_ratio(slo, each)} / {slo.budget:.12g}") for each in windows]
    rules.append(_record(slo, spent, f"{_ratio(slo, slo.window)} / {slo.budget:.12g}"))
    for pages, severity in zip((True, False), slo.severities, strict=True):
        if severity != "off":
            rules.append(_alert(slo, [burn for burn in _BURNS if burn.pages is pages], severity, spent))
    views = (
        _record(slo, "slo:errors:every5m", f"slo:errors:increase5m{slo.selector}"),
        _record(slo, "slo:events:every5m", f"slo:events:increase5m{slo.selector}"),
    )
    return (
        Group(name=f"slo_{slo.name}", rules=tuple(rules), origin=slo.origin),
        Group(name=f"slo_{slo.name}_views", rules=views, interval_seconds=STEP_SECONDS, origin=slo.origin),
    )


def _record(slo: _Slo, name: str, text: str) -> RecordingRule:
    return RecordingRule(name=name, expr=parse(text), text=text, labels=Labels({"slo": slo.name}), origin=slo.origin)


def _burn_name(seconds: float) -> str:
    return f"slo:burn_rate:{format_duration(seconds)}"


def _ratio(slo: _Slo, seconds: float) -> str:
    """Errors within a window to the events of a whole one.

    While there are no views of a whole window yet, as many events as on average are taken for the rest of it, and no
    errors: a new service has the budget of the whole window, not that of its first hour.
    """
    errors, events = f"slo:errors:increase5m{slo.selector}", f"slo:events:increase5m{slo.selector}"
    if seconds == STEP_SECONDS:
        return f"{errors} / ({events} > 0)"
    views = round(seconds / STEP_SECONDS) - 1
    # The last 5m are as they are now; what lies before them comes from the views, of which there are none at first.
    before = f"{slo.selector}[{format_duration(seconds - STEP_SECONDS)}] offset 5m"
    failed = f"sum_over_time(slo:errors:every5m{before}) + {errors} or {errors}"
    asked = f"{views} * avg_over_time(slo:events:every5m{before}) + {events} or {views + 1} * {events}"
    return f"({failed}) / (({asked}) > 0)"


def _alert(slo: _Slo, burns: Sequence[_Burn], severity: str, spent: str) -> AlertingRule:
    pairs = []
    for burn in burns:
        limit = min(burn.share * slo.window / burn.long, _MOST_OF_AN_OUTAGE / slo.budget)
        fast = f"{_burn_name(burn.long)}{slo.selector} > {limit:.4g}"
        pairs.append(f"({fast} and {_burn_name(burn.short)}{slo.selector} > {limit:.4g})")
    text = "\nor\n".join(pairs)
    annotations = {
        "title": "Error budget",
        "summary": f'The error budget of {slo.name} burns {{{{ $value | printf "%.3g" }}}} times as fast as it may',
        "description": f"{slo.description}\n{_told(slo, burns[0], spent)}".strip(),
    }
    if slo.runbook.startswith(("https://", "http://")):
        annotations["runbook_url"] = slo.runbook
    else:
        annotations["runbook"] = slo.runbook or RUNBOOK
    return AlertingRule(
        name=f"{slo.name}_error_budget",
        expr=parse(text),
        text=text,
        keep_firing_for_seconds=120.0,
        labels=Labels({"severity": severity}),
        annotations=annotations,
        origin=slo.origin,
    )


def _told(slo: _Slo, burn: _Burn, spent: str) -> str:
    """How much of the budget is gone, and when the rest will be at the rate of the alert's first window."""
    window, long = format_duration(slo.window), format_duration(burn.long)
    matchers = "".join(f",{label}=%q" for label in slo.by)
    values = "".join(f" $labels.{label}" for label in slo.by)
    series = f'{{slo="{slo.name}"{matchers}}}'
    gone = f"{spent}{series}"
    rest = f"clamp_min(1 - {gone}, 0) * {slo.window:.0f} / {_burn_name(burn.long)}{series}"
    return (
        f"Objective: {slo.objective * 100:.8g} % of {window}. "
        f"{{{{ with query (printf `{gone}`{values}) }}}}{{{{ . | first | value | humanizePercentage }}}} of its error "
        "budget is gone"
        f"{{{{ end }}}}{{{{ with query (printf `{rest}`{values}{values}) }}}}"
        "{{ $left := . | first | value }}{{ if gt $left 0.0 }}; at the rate of the last "
        f"{long} the rest is gone in {{{{ $left | humanizeDuration }}}}"
        "{{ else }}, and nothing is left{{ end }}{{ end }}."
    )
