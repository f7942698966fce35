"""Selection: the series that meet some matchers, extended as series appear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from otelmon.labels import METRIC_NAME, Labels
from otelmon.matching import Matcher, MatchOperator
from otelmon.window.family import Family
from otelmon.window.table import Integers, Mask


class Part:
    """The selected series of one family: for the i-th, its ``rows[i]`` in the blocks and its ``positions[i]`` among
    all series of the selection.
    """

    def __init__(self, family: Family) -> None:
        self.family = family
        self.epoch = family.epoch
        self.seen = 0
        self.entries: Integers = np.zeros(0, dtype=np.intp)
        self.rows: Integers = np.zeros(0, dtype=np.intp)
        self.positions: Integers = np.zeros(0, dtype=np.intp)

    def alive(self) -> Mask | None:
        """Which of the series live; None when all do. A dead one's row may be another's by now."""
        if self.family.removed == 0 or not self.entries.size:
            return None
        living = self.family.alive[self.entries]
        return None if living.all() else living


class Selection:
    """Series by matchers. ``labels`` is only ever added to, so a plan made for its first n entries stays right.

    ``version`` changes whenever samples or series of a selected family do: what was computed for a version holds
    until it changes. ``outdated`` says that a family has written its log anew: ask the window for a new selection.
    """

    def __init__(self, matchers: tuple[Matcher, ...]) -> None:
        """An empty selection; the window fills it by ``extend``."""
        self.matchers = matchers
        self.labels: list[Labels] = []
        self.parts: list[Part] = []
        self.outdated = False
        # With one name every label set less its name is still different from the others.
        self.one_name = any(
            matcher.name == METRIC_NAME and matcher.operator is MatchOperator.EQUAL and matcher.value
            for matcher in matchers
        )
        # For whoever makes plans over these series, to find them again.
        self.plan: object = None
        self._families_seen = 0
        self._names = [matcher for matcher in matchers if matcher.name == METRIC_NAME]
        self._others = [matcher for matcher in matchers if matcher.name != METRIC_NAME]

    def extend(self, families: Sequence[Family]) -> None:
        """Take in what was logged since, of ``families`` (which is only ever added to)."""
        for family in families[self._families_seen :]:
            if all(matcher.matches(family.name) for matcher in self._names):
                self.parts.append(Part(family))
        self._families_seen = len(families)
        for part in self.parts:
            family = part.family
            if part.epoch != family.epoch:
                self.outdated = True
                return
            if part.seen < len(family.log):
                self._extend_part(part)

    def _extend_part(self, part: Part) -> None:
        family = part.family
        entries = family.find(self._others, part.seen)
        part.seen = len(family.log)
        if not entries:
            return
        first = len(self.labels)
        self.labels.extend(family.log[entry] for entry in entries)
        part.entries = np.concatenate([part.entries, np.array(entries, dtype=np.intp)])
        part.rows = np.concatenate([part.rows, np.array([family.log_rows[entry] for entry in entries], dtype=np.intp)])
        part.positions = np.concatenate([part.positions, np.arange(first, len(self.labels))])

    @property
    def version(self) -> tuple[int, ...]:
        """Of every selected family the version."""
        return tuple(part.family.version for part in self.parts)

    @property
    def series_count(self) -> int:
        """How many living series are selected."""
        count = 0
        for part in self.parts:
            living = part.alive()
            count += part.rows.size if living is None else int(np.count_nonzero(living))
        return count
