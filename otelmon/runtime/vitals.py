"""Vitals: how otelmon itself fares, as metrics that rules see and for people who ask."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opentelemetry.metrics import CallbackOptions, Observation

from otelmon.alerts.model import Alert, AlertState
from otelmon.collect.export import OtlpExport
from otelmon.collect.meter import OwnMeter
from otelmon.config.settings import Settings
from otelmon.faults import Faults
from otelmon.incidents.model import Incident
from otelmon.runtime.engine import Engine
from otelmon.runtime.heartbeat import Heartbeat
from otelmon.runtime.ticks import Tick, Ticks
from otelmon.tenants import Tenants

TICK_DURATION = "otelmon.tick.duration"
EVALUATION_DURATION = "otelmon.rule.evaluation.duration"
SERIES = "otelmon.series"
SERIES_LIMIT = "otelmon.series.limit"
SERIES_OVERFLOW = "otelmon.series.overflow"
FAULT = "otelmon.fault"
KIND = "otelmon.fault.kind"
"""The attribute that says what part failed."""
GROUP = "otelmon.rule.group"
"""The attribute that names the group of rules."""
OTHER = "_OTHER"
"""What stands for the groups beyond the first ones."""

# Rule files may have hundreds of groups; each makes as many series as there are bounds.
_MOST_GROUPS = 20
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_MOST_ALERTS = 200
_MOST_INCIDENTS = 200

_Observe = Callable[[CallbackOptions], Iterator[Observation]]


class Vitals:
    """How the monitor of this process fares."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        ticks: Ticks,
        faults: Faults,
        *,
        pages: bool,
        export: OtlpExport | None = None,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._ticks = ticks
        self._faults = faults
        self._pages = pages
        self._export = export
        self._heartbeat = heartbeat
        self._groups: dict[tuple[str, str], str] = {}

    @property
    def overflow(self) -> int:
        """How often a sample or point was left out because there are too many series, since the start."""
        return self._engine.window.overflowed + self._engine.collector.overflowed

    def measure(self, meter: OwnMeter) -> None:
        """Make the metrics of it on this meter, and record each tick from now on."""
        duration, evaluation = (
            meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=_BOUNDS)
            for name, description in (
                (TICK_DURATION, "How long a tick took."),
                (EVALUATION_DURATION, "How long the rules of a group took to evaluate."),
            )
        )

        def ticked(tick: Tick) -> None:
            duration.record(tick.seconds, {} if tick.flaw is None else {"error.type": tick.flaw.value})
            for group, seconds in self._evaluated(tick.at).items():
                evaluation.record(seconds, {GROUP: group})

        self._ticks.follow(ticked)
        gauges: tuple[tuple[str, str, Callable[[], int]], ...] = (
            (SERIES, "Series in memory.", lambda: self._engine.window.series_count),
            (SERIES_LIMIT, "Series that are kept at most (max_series).", lambda: self._settings.max_series),
        )
        for name, description, figure in gauges:
            meter.create_observable_gauge(name, [_one(figure)], unit="{series}", description=description)
        counters = [(SERIES_OVERFLOW, "{sample}", "Samples left out for want of room.", lambda: self.overflow)]
        if (export := self._export) is not None:
            counters += [
                ("otelmon.export.sent", "{export}", "Exports that OTLP accepted.", lambda: export.exports),
                ("otelmon.export.failed", "{export}", "Exports that failed.", lambda: export.failures),
            ]
        if (heartbeat := self._heartbeat) is not None:
            counters += [
                ("otelmon.heartbeat.sent", "{call}", "Heartbeats that arrived.", lambda: heartbeat.sent),
                ("otelmon.heartbeat.failed", "{call}", "Heartbeats that failed.", lambda: heartbeat.failed),
            ]
        for name, unit_, description, figure in counters:
            meter.create_observable_counter(name, [_one(figure)], unit=unit_, description=description)
        meter.create_observable_counter(
            FAULT, [self._observe_faults], unit="{fault}", description="Faults of otelmon itself."
        )

    def answer(self) -> dict[str, Any]:
        """For `monitor` on the control socket. Instants are unix seconds, durations seconds."""
        last, heartbeat = self._ticks.last, self._heartbeat
        with self._engine.held() as engine:
            alerts = [alert for each in engine.rules.alerts.values() for alert in each.values()]
            evaluation = sum(watched.last.took_seconds for watched in engine.rules.watched if watched.last is not None)
            incidents, series = list(engine.incidents.values()), engine.window.series_count
            tenants = engine.tenants
        alerts.sort(key=lambda alert: (alert.state is not AlertState.FIRING, -alert.severity.rank, alert.active_at))
        incidents.sort(key=lambda each: (-each.severity.rank, each.triggered_at))
        return {
            "service": self._settings.service,
            "instance": self._settings.instance,
            "environment": self._settings.environment,
            "process": os.getpid(),
            "paging": self._pages,
            "uptime_seconds": self._ticks.uptime_seconds,
            "interval_seconds": self._ticks.interval_seconds,
            "tick": None
            if last is None
            else {
                "at": last.at,
                "seconds": last.seconds,
                "problem": "" if last.flaw is None else last.flaw.words,
                "late": self._ticks.patience_seconds < 0,
            },
            "ticks": self._ticks.count,
            "failed_ticks": self._ticks.failed,
            "evaluation_seconds": evaluation,
            "series": series,
            "max_series": self._settings.max_series,
            "series_overflow": self.overflow,
            "faults": dict(self._faults.counts),
            "heartbeat": None if heartbeat is None else {"sent": heartbeat.sent, "failed": heartbeat.failed},
            "export": None
            if self._export is None
            else {"to": self._export.target, "sent": self._export.exports, "failed": self._export.failures},
            "alerts": [_alert(alert) for alert in alerts[:_MOST_ALERTS]],
            "alerts_firing": sum(alert.state is AlertState.FIRING for alert in alerts),
            "alerts_pending": sum(alert.state is AlertState.PENDING for alert in alerts),
            "incidents": [_incident(incident, tenants) for incident in incidents[:_MOST_INCIDENTS]],
            "incidents_open": len(incidents),
        }

    def _evaluated(self, at: float) -> Mapping[str, float]:
        """How long each group took that was evaluated by the tick of this instant."""
        took: dict[str, float] = {}
        for watched in self._engine.rules.watched:
            if watched.last is not None and watched.last.at >= at:
                group = self._group(watched.group.origin.file, watched.group.name)
                took[group] = took.get(group, 0.0) + watched.last.took_seconds
        return took

    def _group(self, file: str, name: str) -> str:
        key = (file, name)
        known = self._groups.get(key)
        if known is None:
            known = self._groups[key] = name if len(self._groups) < _MOST_GROUPS else OTHER
        return known

    def _observe_faults(self, _: CallbackOptions) -> Iterator[Observation]:
        # A rule's faults are counted by its name (rule.NAME): of these there are as many as anybody writes.
        counts: Counter[str] = Counter()
        for kind, count in list(self._faults.counts.items()):
            counts[kind.partition(".")[0]] += count
        for kind, count in counts.items():
            yield Observation(count, {KIND: kind})


def _one(figure: Callable[[], int]) -> _Observe:
    def observe(_: CallbackOptions) -> Iterator[Observation]:
        yield Observation(figure())

    return observe


def _alert(alert: Alert) -> dict[str, Any]:
    since = alert.fired_at if alert.state is AlertState.FIRING and alert.fired_at is not None else alert.active_at
    return {
        "name": alert.name,
        "state": alert.state.value,
        "severity": alert.severity.value,
        "since": since.timestamp(),
        "labels": dict(alert.labels),
        # JSON has neither NaN nor infinity.
        "value": repr(alert.value),
        "summary": alert.annotations.get("summary", ""),
    }


def _incident(incident: Incident, tenants: Tenants) -> dict[str, Any]:
    return {
        "id": incident.id,
        "state": incident.state.value,
        "severity": incident.severity.value,
        "title": incident.lead.annotations.get("title", "") or incident.lead.name,
        "tenant": tenants.of(incident.lead.labels) if tenants.several else "",
        "service": incident.lead.labels.get("job", ""),
        "since": incident.triggered_at.timestamp(),
        "acknowledged_by": incident.acknowledged_by,
        "firing": len(incident.firing),
        "visible": len(incident.visible),
    }
