"""Checks what otelmon.yaml says of tenants: whoever a route, an inhibition or a rule names must have a token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from otelmon.document.fields import Fields, Problems, did_you_mean
from otelmon.document.model import Listing, Scalar, Section, Value
from otelmon.errors import Problem
from otelmon.incidents.silence import parse_matchers
from otelmon.rules.model import Group, Rule
from otelmon.rules.tenanted import of_tenant
from otelmon.tenants import TENANT


def check_tenants(fields: Fields | None, groups: Iterable[Group], problems: Problems) -> None:
    """Note every name that nobody's token has, at its place. Without tokens a tenant is a label like any other."""
    tenants = () if fields is None else _written(fields)
    if fields is None or not tenants:
        return
    for key, places in (("routes", ("match",)), ("inhibit", ("source", "target"))):
        listing = fields.value(key)
        items = listing.items if isinstance(listing, Listing) else ()
        for number, item in enumerate(items, start=1):
            for place in places:
                _check_matchers(item, place, f"{key}[{number}].{place}", tenants, problems)
    for group in groups:
        for rule in group.rules:
            problems.found += _of_rule(rule, tenants)


def _written(fields: Fields) -> tuple[str, ...]:
    """The names of tokens as written: where one is described wrongly, naming it is no second fault."""
    serve = fields.value("serve")
    tokens = serve.entries.get("tokens") if isinstance(serve, Section) else None
    return tuple(tokens.value.entries) if tokens is not None and isinstance(tokens.value, Section) else ()


def _check_matchers(item: Value, place: str, key: str, tenants: tuple[str, ...], problems: Problems) -> None:
    entry = item.entries.get(place) if isinstance(item, Section) else None
    if entry is None:
        return
    for text in entry.value.items if isinstance(entry.value, Listing) else (entry.value,):
        try:
            matchers = parse_matchers([text.text]) if isinstance(text, Scalar) else ()
        except ValueError:
            continue  # said where it is read
        for matcher in matchers:
            if matcher.name == TENANT and not any(map(matcher.matches, (*tenants, ""))):
                message = f"nobody has a token whom {TENANT}{matcher.operator.value}{matcher.value!r} could mean"
                problems.add(text, message, key=key, hint=_hint(matcher.value, tenants))


def _of_rule(rule: Rule, tenants: tuple[str, ...]) -> Iterator[Problem]:
    if any(of_tenant(rule, tenant) is not None for tenant in (*tenants, "")):
        return
    named = rule.labels.get(TENANT)
    if named is None or named in tenants:
        message = f"{rule.name} looks at series of no tenant, or of more than one: each has only its own"
    elif "{{" in named:
        message = f"{rule.name}: the label {TENANT} is whose token the series came with, and no template"
    else:
        message = f"{rule.name}: nobody has a token who is called {named!r}"
    yield Problem(
        file=rule.origin.file, line=rule.origin.line, key=rule.name, message=message, hint=_hint(named or "", tenants)
    )


def _hint(name: str, tenants: tuple[str, ...]) -> str:
    return did_you_mean(name, tenants) or f"serve: tokens: has {', '.join(tenants)}"
