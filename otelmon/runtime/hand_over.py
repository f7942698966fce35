"""Hand-over: of an application and the server it sends to, one pages.

The application evaluates along, so that it knows at once what fires when the server is lost. What it promises:

- While the server answers, the server pages and the application is silent (but for values put in by hand).
- After ``MOST_FAILED`` failed sends in a row the application pages what fires, but for what the server had paged
  already, as it last said; that stays the server's for ``SERVERS_SECONDS`` more.
- When the server answers again, each alert that the application has paged remains its own, and it tells the server so
  with the very data that make the alert fire there, until it is over and the server cannot see it any more (as long as
  the rule looks back). All others are the server's again.

So no page is lost: at each moment one of the two is not silent. None is sent twice, but where the server pages between
its last answer and the cut: neither can know. Where several hosts lose the server at once, each pages for itself, as
they do without a server.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from otelmon.alerts.manual import MANUAL
from otelmon.collect.presences import Presences
from otelmon.faults import logger
from otelmon.incidents.model import Incident
from otelmon.incidents.silence import Silence
from otelmon.labels import METRIC_NAME
from otelmon.matching import Matcher, MatchOperator
from otelmon.server.paged import paged_labels
from otelmon.tenants import NOBODY, TENANT, Tenants
from otelmon.window.window import Window

MOST_FAILED = 3
"""After so many failed sends in a row the application pages for itself."""
SERVERS_SECONDS = 600.0
"""How long what the server had paged stays the server's, while it does not answer."""
CLAIM = "otelmon.alert.claimed"
"""A gauge that the application sends with its data: 1 for an alert that it pages itself, 0 once it does no more."""
ALERT = "otelmon.alert.name"
"""The attribute that names the alert."""

_CLAIM_SERIES = (Matcher(name=METRIC_NAME, operator=MatchOperator.EQUAL, value="otelmon_alert_claimed"),)
_ALERT_LABEL = "otelmon_alert_name"
# A claim that was not renewed for so long is none: whoever made it is gone.
_CLAIM_SECONDS = 120.0
_LINGER_INTERVALS = 4
_SPECIAL = re.compile(r"([.^$*+?()\[\]{}|\\])")


class HandOver:
    """The application's side. Who sends tells `sent` and `failed`; the engine calls it at each step."""

    def __init__(self, *, server: str, interval_seconds: float, lookbacks: Callable[[], Mapping[str, float]]) -> None:
        """``lookbacks``: by an alert's name, for how many seconds its rule looks back. ``server`` is for the log."""
        self._server = server
        self._linger_seconds = _LINGER_INTERVALS * interval_seconds
        self._lookbacks = lookbacks
        self._lock = threading.Lock()
        self._failures = 0
        self._lost_at = math.inf
        self._paged: frozenset[str] = frozenset()
        # The alerts that are this application's, until when.
        self._own: dict[str, float] = {}
        self._known: dict[str, bool] = {}

    @property
    def lost(self) -> bool:
        """Whether the server does not answer and this process pages."""
        return self._failures >= MOST_FAILED

    def sent(self, paged: frozenset[str]) -> None:
        """The server has what was sent; ``paged`` are the names of the alerts of this job that it has paged."""
        with self._lock:
            if self.lost:
                logger.info("otelmon: the server at %s answers again and pages from now on", self._server)
            self._failures, self._lost_at, self._paged = 0, math.inf, paged

    def failed(self, at: float) -> None:
        """The server did not take what was sent at unix second ``at``."""
        with self._lock:
            self._failures += 1
            if self._failures == MOST_FAILED:
                self._lost_at = at
                logger.warning(
                    "otelmon: %d sends to %s failed; this process pages until it answers", MOST_FAILED, self._server
                )

    def claims(self) -> Mapping[str, bool]:
        """The alerts that this application pages itself, and those that it did before (false)."""
        with self._lock:
            self._known = {**dict.fromkeys(self._known, False), **dict.fromkeys(self._own, True)}
            return dict(self._known)

    def __call__(self, window: Window, incidents: Mapping[str, Incident], at: float) -> Mapping[str, Silence]:  # noqa: ARG002
        """What mutes the engine's alerts at this instant, by id; ``incidents`` are those that are open."""
        with self._lock:
            self._settle(incidents, at)
            own = sorted(self._own)
            if not self.lost:
                return _silence("server", [_named(own, among=False), _by_rule()], f"{self._server} pages", at)
            theirs = sorted(self._paged - set(own))
            if not theirs or at - self._lost_at > SERVERS_SECONDS:
                return {}
            return _silence("paged", [_named(theirs, among=True), _by_rule()], f"{self._server} has paged it", at)

    def _settle(self, incidents: Mapping[str, Incident], at: float) -> None:
        """Take what was paged here for ours until it is over and the server cannot see it any more."""
        told = {
            str(labels.get("alertname", ""))
            for incident in incidents.values()
            for labels in paged_labels(incident)
            if labels.get("source") != MANUAL
        }
        lookbacks = self._lookbacks()
        for name in {*self._own, *told}:
            linger = lookbacks.get(name, 0.0) + self._linger_seconds
            if name in told or self.lost:
                self._own[name] = at + linger
        self._own = {name: until for name, until in self._own.items() if until > at}


class Claims:
    """The server's side: alerts that a client pages itself page nobody here."""

    def __init__(self, presence: Presences, tenants: Tenants = NOBODY) -> None:
        """``presence`` says whether an instance still sends: a claim ends with who made it."""
        self._presence = presence
        self._tenants = tenants

    def __call__(self, window: Window, incidents: Mapping[str, Incident], at: float) -> Mapping[str, Silence]:  # noqa: ARG002
        """What mutes the engine's alerts at this instant, by id."""
        found: dict[str, Silence] = {}
        for series in window.select(_CLAIM_SERIES, start=at - _CLAIM_SECONDS):
            job, instance = str(series.labels.get("job", "")), str(series.labels.get("instance", ""))
            name = str(series.labels.get(_ALERT_LABEL, ""))
            tenant = self._tenants.of(series.labels)
            if name and float(series.values[-1]) == 1.0 and self._presence.is_up(job, instance, tenant=tenant):
                # A rule may sum its job away, but never whose it is.
                of_job = Matcher(name="job", operator=MatchOperator.REGEX, value=f"({_quoted(job)})?")
                matchers = [_named([name], among=True), of_job, _by_rule()]
                if tenant:
                    matchers.append(Matcher(name=TENANT, operator=MatchOperator.EQUAL, value=tenant))
                what = f"{tenant}/{job}/{name}" if tenant else f"{job}/{name}"
                found |= _silence(what, matchers, f"{instance} pages it, from when it was cut off", at)
        return found


def _silence(what: str, matchers: list[Matcher], comment: str, at: float) -> dict[str, Silence]:
    # Never announced and never written: it is made anew at each step, for as long as it holds.
    now = datetime.fromtimestamp(at, UTC)
    made = Silence(
        id=f"S-{what}",
        matchers=tuple(matchers),
        starts_at=now,
        ends_at=None,
        author="otelmon",
        comment=comment,
        created_at=now,
        noticed_at=now,
    )
    return {made.id: made}


def _named(names: list[str], *, among: bool) -> Matcher:
    if not names:
        return Matcher(name="alertname", operator=MatchOperator.REGEX, value=".+")
    operator = MatchOperator.REGEX if among else MatchOperator.NOT_REGEX
    return Matcher(name="alertname", operator=operator, value="|".join(map(_quoted, names)))


def _by_rule() -> Matcher:
    return Matcher(name="source", operator=MatchOperator.NOT_EQUAL, value=MANUAL)


def _quoted(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
