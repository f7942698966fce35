"""``probes:`` and ``redis:`` of otelmon.yaml: what is asked in the background, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from urllib.parse import urlsplit

from otelmon.document.fields import Fields, Problems
from otelmon.document.model import Entry, Listing, Scalar, Section, Value, describe
from otelmon.duration import format_duration
from otelmon.instrument.pools import address
from otelmon.instrument.probes import HttpTarget, ProbeSettings, Rhythm, TcpTarget
from otelmon.instrument.redis_watch import RedisSettings

_RHYTHM = ("interval", "timeout", "failures", "successes")
_HTTP = ("url", "method", "status", "body", "json", "headers", "latency_limit", "certificate")
_METHODS = ("GET", "HEAD", "POST", "PUT", "OPTIONS")
_LONGEST_SECONDS = 3600.0
_DAY_SECONDS = 86_400.0


def read_probes(fields: Fields | None) -> tuple[ProbeSettings, ...]:
    """The probes, by name. Faults are noted with their place."""
    section = None if fields is None else fields.sub("probes")
    if fields is None or section is None:
        return ()
    found = [_probe(entry, fields.problems) for entry in section.entries.values()]
    return tuple(each for each in found if each is not None)


def read_redis(scalars: Sequence[Scalar], problems: Problems) -> tuple[RedisSettings, ...]:
    """The Redis servers of a list of addresses, named by host, port and database."""
    found: dict[str, RedisSettings] = {}
    for scalar in scalars:
        url = scalar.text.strip()
        if not _is_address(url, schemes=("redis", "rediss", "unix")):
            hint = "write redis://host:6379/0, rediss:// with TLS, or unix:///path"
            problems.add(scalar, "is no address of a Redis server", key="redis", hint=hint)
        elif find_spec("redis") is None:
            problems.add(scalar, "nothing is installed to ask it with", key="redis", hint="pip install redis")
        elif address(url) in found:
            problems.add(scalar, "the same server stands here already", key="redis", hint="take one of the two away")
        else:
            found[address(url)] = RedisSettings(name=address(url), url=url)
    return tuple(found.values())


def _probe(entry: Entry, problems: Problems) -> ProbeSettings | None:
    name, value = entry.key.text, entry.value
    key = f"probes.{name}"
    if not isinstance(value, Section):
        hint = "write {url: https://...} or {tcp: host:port}"
        problems.add(value, f"a section of keys expected, not {describe(value)}", key=key, hint=hint)
        return None
    fields = Fields(value, problems, known=(*_HTTP, "tcp", *_RHYTHM), path=key)
    rhythm = _rhythm(fields)
    if fields.entry("tcp") is not None:
        for other in _HTTP:
            if fields.entry(other) is not None:
                fields.fault(other, "is for url:, not for tcp:", "write one of the two, each in a probe of its own")
        tcp = _tcp(fields)
        return None if tcp is None else ProbeSettings(name=name, target=tcp, rhythm=rhythm)
    http = _http(fields)
    return None if http is None else ProbeSettings(name=name, target=http, rhythm=rhythm)


def _rhythm(fields: Fields) -> Rhythm:
    default = Rhythm()
    interval = fields.duration("interval", low=1.0, high=_LONGEST_SECONDS)
    timeout = fields.duration("timeout", low=0.1, high=_LONGEST_SECONDS)
    found = Rhythm(
        interval_seconds=interval or default.interval_seconds,
        timeout_seconds=timeout or default.timeout_seconds,
        failures=fields.integer("failures", low=1, high=100) or default.failures,
        successes=fields.integer("successes", low=1, high=100) or default.successes,
    )
    if found.timeout_seconds > found.interval_seconds:
        named = "timeout" if timeout is not None else "interval"
        hint = f"write a timeout of at most {format_duration(found.interval_seconds)}, or a longer interval"
        fields.fault(named, "the next run would begin before this one is over", hint)
    return found


def _tcp(fields: Fields) -> TcpTarget | None:
    text = (fields.text("tcp") or "").strip()
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None:
        fields.fault("tcp", "is no address of a port", "write host:port, such as db.internal:5432")
        return None
    return TcpTarget(host=host, port=port)


def _http(fields: Fields) -> HttpTarget | None:
    url = fields.text("url")
    if url is None:
        if fields.entry("url") is None:
            fields.fault("url", "nothing says what is asked", "write url: https://... or tcp: host:port")
        return None
    if not _is_address(url):
        fields.fault("url", "is no address of the web", "write https://host/path")
        return None
    expected = fields.sub("json")
    certificate = fields.duration("certificate", low=_DAY_SECONDS, high=365 * _DAY_SECONDS)
    if certificate is not None and not url.startswith("https:"):
        fields.fault("certificate", "is of an address without one", "write url: https://..., or leave it out")
    return HttpTarget(
        url=url,
        method=fields.choice("method", _METHODS) or "GET",
        headers={name: scalar.text for name, scalar in fields.texts("headers").items()},
        statuses=_statuses(fields),
        body=fields.text("body"),
        json=None if expected is None else {name: _plain(entry.value) for name, entry in expected.entries.items()},
        latency_limit_seconds=fields.duration("latency_limit", low=0.001, high=_LONGEST_SECONDS),
        certificate_seconds=certificate,
    )


def _is_address(url: str, *, schemes: tuple[str, ...] = ("http", "https")) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises where it is none)
    except ValueError:
        return False
    named = bool(parts.path if parts.scheme == "unix" else parts.hostname)
    return parts.scheme in schemes and named and url.isprintable() and " " not in url


def _statuses(fields: Fields) -> tuple[int, ...]:
    value = fields.value("status")
    items: tuple[Value, ...] = () if value is None else value.items if isinstance(value, Listing) else (value,)
    found = [item.value for item in items if isinstance(item, Scalar)]
    statuses = tuple(code for code in found if isinstance(code, int) and 100 <= code <= 599)
    if len(statuses) != len(items):
        fields.fault("status", "is no status of HTTP", "write a number such as 204, or a list: [200, 204]")
    return statuses


def _plain(value: Value) -> object:
    """A value as JSON would give it."""
    match value:
        case Section():
            return {name: _plain(entry.value) for name, entry in value.entries.items()}
        case Listing():
            return [_plain(item) for item in value.items]
        case Scalar():
            return value.value
