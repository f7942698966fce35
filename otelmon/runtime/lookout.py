"""Lookout: sees between two ticks that the last instance of a service has fallen silent.

A tick would see it up to an interval later. The engine's loop asks here in each of its turns, and sleeps no longer than
until the next instant at which a service may have nobody left; only then is anything looked at or evaluated. What is
found are samples of who sends and the rules that look at them; the ticks come when they come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from otelmon.collect.presence import METRICS, SILENCE, SILENT_INTERVALS
from otelmon.collect.presences import Presences
from otelmon.promql.analyze import metric_names
from otelmon.rules.model import AlertingRule
from otelmon.sample import Sample

if TYPE_CHECKING:
    from otelmon.runtime.evaluate import RuleResults, RuleRunner
    from otelmon.runtime.watched import WatchedRule
    from otelmon.window.window import Window

# The loop turns at least so often in an interval, and each second: by that it knows whether this process was awake.
_TURNS = 4
_TURN_SECONDS = 1.0
# Services that die together are seen together: nothing is looked at more often than so many times in an interval.
_LOOKS = 20


class Lookout:
    """Who falls silent, for the engine of a server. For one thread at a time; instants are unix seconds.

    ``tell`` gives the samples of who sends. ``wait_seconds`` is how soon it wants to be asked again.
    """

    def __init__(
        self, presence: Presences, tell: Callable[[float], Sequence[Sample]], *, interval_seconds: float
    ) -> None:
        self._presence = presence
        self._tell = tell
        self._turn_seconds = min(_TURN_SECONDS, interval_seconds / _TURNS)
        self._patience_seconds = self._turn_seconds + interval_seconds / _TURNS
        self._apart_seconds = interval_seconds / _LOOKS
        self._bounds: dict[str, frozenset[float]] = {}
        self.wait_seconds = self._turn_seconds

    def look(self, window: Window, rules: RuleRunner, at: float) -> tuple[RuleResults, Sequence[Sample]] | None:
        """The samples (in the window by then) and what the rules make of them; None where nobody has fallen silent."""
        self._presence.awake(at, patience_seconds=self._patience_seconds)
        found = self._fallen(rules, at)
        self.wait_seconds = min(self._turn_seconds, max(self._apart_seconds, self._presence.look_at - at))
        if not found:
            return None
        samples = self._tell(at)
        window.append(samples)
        return rules.run_reading(METRICS, window, at), samples

    def _fallen(self, rules: RuleRunner, at: float) -> bool:
        if at < self._presence.look_at:
            return False
        bounds = {bound for watched in rules.watched for bound in self._bounds_of(watched)}
        return self._presence.fall_silent(bounds, at=at)

    def _bounds_of(self, watched: WatchedRule) -> frozenset[float]:
        """After how many silent intervals of a service this rule may find something."""
        known = self._bounds.get(watched.rule.text)
        if known is None:
            known = self._bounds[watched.rule.text] = _bounds(watched)
        return known


def _bounds(watched: WatchedRule) -> frozenset[float]:
    names = metric_names(watched.rule.expr) if isinstance(watched.rule, AlertingRule) else ()
    if not METRICS.intersection(names):
        return frozenset()
    limit = watched.condition
    if limit is not None and limit.operator in {">", ">="} and metric_names(limit.measure) == (SILENCE,):
        # Whoever sends is silent for an interval each time.
        return frozenset({limit.bound}) if limit.bound >= 1 else frozenset()
    return frozenset({SILENT_INTERVALS})
