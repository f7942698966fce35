"""Reads what otelmon.yaml says of incidents: group_by, inhibit, ack_timeout, repeat_every, reopen_within, storms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from otelmon.document.fields import Fields, Problems, as_boolean
from otelmon.document.model import Listing, Scalar, Section, Value, describe, is_empty
from otelmon.incidents.inhibit import BUILT_IN, Inhibition
from otelmon.incidents.policy import REPEAT_EVERY, Policy
from otelmon.incidents.silence import parse_matchers
from otelmon.matching import Matcher
from otelmon.rules.model import Severity

POLICY_KEYS = ("group_by", "inhibit", "ack_timeout", "repeat_every", "reopen_within", "storm_after", "silence_notice")
"""The keys at the top of otelmon.yaml that are read here."""

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_A_LABEL = "write the name of a label, such as job or http_route"
_DAY = 86_400.0
_SIDES = ("source", "target")


def read_policy(fields: Fields | None, problems: Problems) -> Policy:
    """What is written, and the defaults for what is not; problems are noted."""
    default = Policy()
    if fields is None:
        return default
    reopen_within = fields.duration("reopen_within", low=0.0, high=_DAY)
    notice = fields.duration("silence_notice", low=60.0, high=_DAY)
    storm_after = fields.integer("storm_after", low=1, high=1000)
    return Policy(
        group_by=_group_by(fields, problems) or default.group_by,
        inhibitions=_inhibitions(fields, problems),
        reopen_within=default.reopen_within if reopen_within is None else timedelta(seconds=reopen_within),
        ack_timeout=_span(fields, "ack_timeout", default.ack_timeout),
        repeat_every=_repeat_every(fields, problems),
        storm_after=storm_after or default.storm_after,
        silence_notice=default.silence_notice if notice is None else timedelta(seconds=notice),
    )


def _group_by(fields: Fields, problems: Problems) -> tuple[str, ...]:
    value = fields.value("group_by")
    if isinstance(value, Listing) and not value.items:
        fields.fault("group_by", "a label is missing", _A_LABEL)
    return _names(fields, "group_by", problems)


def _span(fields: Fields, name: str, default: timedelta | None) -> timedelta | None:
    """A duration of a minute to 30 days, or ``off``."""
    value = fields.value(name)
    if value is None:
        return default
    if as_boolean(value) is False:
        return None
    seconds = fields.duration(name, low=60.0, high=30 * _DAY)
    return default if seconds is None else timedelta(seconds=seconds)


def _repeat_every(fields: Fields, problems: Problems) -> dict[Severity, timedelta | None]:
    value = fields.value("repeat_every")
    if value is not None and not isinstance(value, Section):
        hint = "write {critical: 30m, warning: 4h}, or off for one of them"
        fields.fault("repeat_every", f"durations by severity expected, not {describe(value)}", hint)
    if not isinstance(value, Section):
        return dict(REPEAT_EVERY)
    known = [severity.value for severity in reversed(Severity)]
    by_severity = Fields(value, problems, known=known, path="repeat_every")
    return {severity: _span(by_severity, severity.value, REPEAT_EVERY[severity]) for severity in Severity}


def _inhibitions(fields: Fields, problems: Problems) -> tuple[Inhibition, ...]:
    value = fields.value("inhibit")
    if value is not None and as_boolean(value) is False:
        return ()
    listing = fields.listing("inhibit")
    items = () if listing is None else listing.items
    read = (_inhibition(item, f"inhibit[{number}]", problems) for number, item in enumerate(items, start=1))
    return (*BUILT_IN, *(inhibition for inhibition in read if inhibition is not None))


def _inhibition(item: Value, path: str, problems: Problems) -> Inhibition | None:
    if not isinstance(item, Section):
        hint = "write - {source: health_check, target: response_time, equal: [job]}"
        problems.add(item, f"a section of keys expected, not {describe(item)}", key=path, hint=hint)
        return None
    fields = Fields(item, problems, known=(*_SIDES, "equal"), path=path)
    source, target = (_matchers(fields, side, problems) for side in _SIDES)
    equal = _names(fields, "equal", problems)
    return Inhibition(source=source, target=target, equal=equal) if source and target else None


def _matchers(fields: Fields, side: str, problems: Problems) -> tuple[Matcher, ...]:
    hint = 'write an alert\'s name, or matchers such as job="shop"'
    value = fields.value(side)
    if value is None or (isinstance(value, Listing) and not value.items):
        fields.fault(side, f"{side} is missing", hint)
        return ()
    scalars = list(_scalars(fields, side, problems, hint))
    try:
        return parse_matchers(scalar.text for scalar in scalars) if scalars else ()
    except ValueError as error:
        fields.fault(side, str(error))
        return ()


def _names(fields: Fields, name: str, problems: Problems) -> tuple[str, ...]:
    """A list of labels; a single one needs no brackets."""
    names: list[str] = []
    for scalar in _scalars(fields, name, problems, _A_LABEL):
        if not _LABEL.fullmatch(scalar.text):
            problems.add(scalar, f"{scalar.shown} is no label", key=fields.key(name), hint=_A_LABEL)
        names.append(scalar.text)
    return tuple(dict.fromkeys(names))


def _scalars(fields: Fields, name: str, problems: Problems, hint: str) -> Iterator[Scalar]:
    value = fields.value(name)
    items = value.items if isinstance(value, Listing) else () if value is None else (value,)
    for item in items:
        if isinstance(item, Scalar) and not is_empty(item):
            yield item
        else:
            problems.add(item, f"text expected, not {describe(item)}", key=fields.key(name), hint=hint)
