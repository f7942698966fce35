"""Worth saving: which alerts a tick has to write, because more than their values changed."""

from __future__ import annotations

from collections.abc import Mapping

from otelmon.alerts.model import Alert
from otelmon.labels import Labels
from otelmon.runtime.watched import Alerts

# Values that only moved are written this often.
_SAVE_ALL_SECONDS = 60.0


class WorthSaving:
    """Remembers what was written of each rule's alerts."""

    def __init__(self) -> None:
        self._saved: dict[str, dict[Labels, tuple[object, ...]]] = {}
        self._save_all_at = 0.0

    def of(self, alerts: Mapping[str, Alerts], at: float) -> dict[str, Alerts]:
        """The alerts of the rules where more than a value changed, and of all rules from time to time."""
        standing = {name: {key: _standing(alert) for key, alert in each.items()} for name, each in alerts.items()}
        if at >= self._save_all_at:
            self._save_all_at = at + _SAVE_ALL_SECONDS
            self._saved = {}
        worth = {name: alerts[name] for name, stand in standing.items() if self._saved.get(name) != stand}
        self._saved.update({name: standing[name] for name in worth})
        return worth


def _standing(alert: Alert) -> tuple[object, ...]:
    """What of an alert a restart cannot find out anew."""
    held_at = alert.last_held_at if alert.manual else None
    return (alert.state, alert.active_at, alert.fired_at, alert.stopped_at, alert.restored, held_at)
