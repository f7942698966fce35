"""Which alerts are pending or firing, as a metric, so that any backend shows it beside what caused it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from opentelemetry.metrics import CallbackOptions, Observation

from otelmon.alerts.model import Alert, AlertState, Transition
from otelmon.collect.meter import OwnMeter
from otelmon.faults import Faults
from otelmon.labels import Labels

ALERT_STATE = "otelmon.alert.state"
# A backend that is told nothing shows what it was told last: zeros are said for a while after an alert's end.
_SAID_AFTER_SECONDS = 900.0
_MOST_ALERTS = 1000
_STATES = (AlertState.PENDING, AlertState.FIRING)
_SAID = frozenset({"alertname", "severity"})


class AlertStates:
    """A gauge: 1 for the state that an alert is in, 0 for the other, both 0 for a quarter of an hour after its end.

    Attributes as those of the log events: the name, severity and labels of the alert, and the state. Of more than a
    thousand alerts the others are left out, firing ones last.
    """

    def __init__(
        self,
        meter: OwnMeter,
        alerts: Callable[[], Mapping[str, Mapping[Labels, Alert]]],
        *,
        monotonic: Callable[[], float],
        faults: Faults,
    ) -> None:
        """``alerts`` gives those of each rule; it is called by whoever calls `record` only."""
        self._alerts = alerts
        self._monotonic = monotonic
        self._faults = faults
        self._over: dict[Labels, tuple[Alert, float]] = {}
        self._observations: Sequence[Observation] = ()
        description = "1 for the state that an alert is in, 0 for the other"
        meter.create_observable_gauge(ALERT_STATE, [self._observe], "{alert}", description)

    def record(self, transitions: Sequence[Transition]) -> None:
        """Take the alerts as a tick has left them, and what it has ended. Never raises."""
        try:
            at = self._monotonic()
            current = {
                labels: alert
                for each in self._alerts().values()
                for labels, alert in each.items()
                if alert.state is not AlertState.RESOLVED
            }
            for transition in transitions:
                self._over[transition.alert.labels] = (transition.alert, at)
            over = {
                labels: (alert, ended_at)
                for labels, (alert, ended_at) in self._over.items()
                if labels not in current and at - ended_at < _SAID_AFTER_SECONDS
            }
            firing_first = sorted(current.values(), key=lambda alert: alert.state is not AlertState.FIRING)
            said = [(alert, alert.state) for alert in firing_first]
            said += [(alert, AlertState.RESOLVED) for alert, _ in over.values()]
            self._over = over
            self._observations = [
                Observation(int(state is each), _attributes(alert, each))
                for alert, state in said[:_MOST_ALERTS]
                for each in _STATES
            ]
        except Exception as error:  # noqa: BLE001 (a figure that is missing must not stop a tick)
            self._faults.add("figures", "the states of alerts cannot be told", error)

    def close(self) -> None:
        """Say nothing more: another process evaluates, or none does."""
        self._observations = ()

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        return self._observations


def _attributes(alert: Alert, state: AlertState) -> dict[str, str]:
    attributes = {
        "otelmon.alert.name": alert.name,
        "otelmon.alert.severity": alert.severity.value,
        "otelmon.alert.state": state.value,
    }
    labels = {name: value for name, value in dict(alert.labels).items() if name not in _SAID}
    return attributes | {f"otelmon.alert.label.{name}": value for name, value in labels.items()}
