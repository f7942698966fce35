"""Process: the steps of ``process:``, one after the other, on one request at a time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otelmon.config.process import ProcessSettings
from otelmon.faults import Faults
from otelmon.server.process.limit import Offender
from otelmon.server.process.request import Known, Request
from otelmon.server.process.steps import action_of

_SHOWN_OFFENDERS = 10


class Process:
    """Applies steps to requests, for any thread; without steps it touches nothing.

    ``counts`` has the points that each step has dropped or changed, by its number (from 1) and its name.
    """

    def __init__(self, settings: ProcessSettings, *, faults: Faults) -> None:
        self.counts: Counter[tuple[int, str]] = Counter()
        self._faults = faults
        self._lock = threading.Lock()
        self._told: set[tuple[str, int]] = set()
        self._known: Known = {}
        self._steps = [action_of(step, self._tell) for step in settings.steps]

    def take(self, body: bytes, at: float) -> bytes:
        """A serialised request as it is to be evaluated and forwarded, at a time in unix seconds.

        Where nothing is to be changed it is the very same object. Raises google.protobuf's DecodeError for what is no
        request; points that no step looks into may still be none.
        """
        if not self._steps:
            return body
        with self._lock:
            request = Request(body, self._known)
            for number, (name, action, _) in enumerate(self._steps, start=1):
                self.counts[number, name] += action(request, at)
            return request.written()

    def offenders(self) -> Sequence[Offender]:
        """The metrics that have more series than a limit lets pass, the worst of each limit first."""
        with self._lock:
            return [each for _, _, limit in self._steps if limit is not None for each in limit.offenders()]

    def measure(self, meter: Meter) -> None:
        """Count what the steps do, as metrics; makes nothing where there are no steps."""
        if not self._steps:
            return
        counter = meter.create_observable_counter
        counter("otelmon.process.points", [self._observed], "{point}", "Points that a step has dropped or changed")
        counter(
            "otelmon.process.limited",
            [self._observed_offenders],
            "{point}",
            "Points dropped for too many series, of the metrics with the most of them, with the label to blame",
        )

    def _tell(self, offender: Offender) -> None:
        key = (offender.metric, offender.limit)
        if key not in self._told:
            self._told.add(key)
            self._faults.add("process.limit", f"{offender}; further ones are dropped")

    def _observed(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(count, {"otelmon.process.step": number, "otelmon.process.action": name})
            for (number, name), count in list(self.counts.items())
        ]

    def _observed_offenders(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(each.refused, {"otelmon.process.metric": each.metric, "otelmon.process.label": each.label})
            for each in self.offenders()[:_SHOWN_OFFENDERS]
        ]
