"""InstrumentCounts: requests counted by OTel instruments, where the application has a pipeline of its own."""

from __future__ import annotations

from typing import Any

from opentelemetry.metrics import MeterProvider

from otelmon.instrument.model import BOUNDS, Traffic
from otelmon.instrument.recorder import OTHER, Lane, known_methods, known_scheme

_DURATIONS = {
    Traffic.REQUEST: ("http.server.request.duration", "Duration of HTTP server requests."),
    Traffic.EVENT_STREAM: ("otelmon.event_stream.duration", "Duration of event streams."),
    Traffic.WEBSOCKET: ("otelmon.websocket.duration", "Duration of websocket connections."),
}
_MOST_ATTRIBUTE_SETS = 2000


class _InstrumentLane:
    """Records into one histogram, with the attribute sets of this lane kept ready."""

    __slots__ = ("_active", "_attributes", "_counts", "_duration", "_known")

    def __init__(self, counts: InstrumentCounts, duration: Any, active: Any, attributes: dict[str, Any]) -> None:
        self._counts = counts
        self._duration = duration
        self._active = active
        self._attributes = attributes
        self._known: dict[tuple[str, int, str], dict[str, Any]] = {}

    def begin(self) -> None:
        if self._active is not None:
            self._active.add(1, self._attributes)

    def leave(self) -> None:
        if self._active is not None:
            self._active.add(-1, self._attributes)

    def end(self, route: str, status: int, error_type: str, seconds: float) -> None:
        self.leave()
        key = (route, status, error_type)
        attributes = self._known.get(key)
        if attributes is None:
            attributes = self._counts.attributes(self._known, self._attributes, key)
        self._duration.record(seconds, attributes)


class InstrumentCounts:
    """The counterpart of RequestRecorder on the application's own MeterProvider.

    Requests go to ``http.server.request.duration`` (with the boundaries that semconv advises) and
    ``http.server.active_requests``, event streams and websockets to ``otelmon.event_stream.duration`` and
    ``otelmon.websocket.duration``, all with the attributes that the recorder's cells have. Past 2000 sets of
    attributes all further ones are one, marked ``otel.metric.overflow``: the SDK's own limit exists from 1.45.2 only.
    ``active`` says whether active requests are counted; not where another instrumentation does.
    """

    def __init__(self, provider: MeterProvider, *, active: bool = True) -> None:
        meter = provider.get_meter("otelmon")
        self.requests: dict[tuple[str, str], Lane] = {}
        self._methods = known_methods()
        self._lanes: dict[tuple[Traffic, str, str], Lane] = {}
        self._set_count = 0
        self._overflow: dict[str, Any] = {"otel.metric.overflow": True}
        self._durations = {
            traffic: meter.create_histogram(
                name, unit="s", description=description, explicit_bucket_boundaries_advisory=BOUNDS
            )
            for traffic, (name, description) in _DURATIONS.items()
        }
        self._active = (
            meter.create_up_down_counter(
                "http.server.active_requests", unit="{request}", description="Number of active HTTP server requests."
            )
            if active
            else None
        )

    def lane(self, traffic: Traffic, method: str, scheme: str) -> Lane:
        """The lane of these attributes; an unknown method or scheme is ``_OTHER``."""
        key = (traffic, method if method in self._methods else OTHER, known_scheme(scheme))
        found = self._lanes.get(key)
        if found is None:
            attributes = {"http.request.method": key[1], "url.scheme": key[2]}
            active = self._active if traffic is Traffic.REQUEST else None
            found = _InstrumentLane(self, self._durations[traffic], active, attributes)
            self._lanes[key] = found
        if traffic is Traffic.REQUEST and key[1:] == (method, scheme):
            self.requests[method, scheme] = found
        return found

    def forget(self) -> None:
        """Nothing to drop: the counts are the provider's."""

    def attributes(
        self, known: dict[tuple[str, int, str], dict[str, Any]], lane: dict[str, Any], key: tuple[str, int, str]
    ) -> dict[str, Any]:
        """The attribute set of a lane's (route, status, error type), kept in ``known`` while there is room."""
        route, status, error_type = key
        if self._set_count >= _MOST_ATTRIBUTE_SETS:
            return self._overflow
        made = dict(lane)
        if route:
            made["http.route"] = route
        if 100 <= status <= 599:
            made["http.response.status_code"] = int(status)
        if error_type:
            made["error.type"] = error_type
        known[key] = made
        self._set_count += 1
        return made
