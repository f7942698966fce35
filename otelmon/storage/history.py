"""The window's samples, saved tick by tick: a dictionary of series, and one blob for each save."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, delete, func, select, update

from otelmon.labels import Labels
from otelmon.sample import Sample
from otelmon.storage.codec import digest, labels_text
from otelmon.storage.tables import SERIES, TICKS
from otelmon.storage.ticks import pack, series_in, unpack

_BATCH = 500
_SPARE_SERIES = 1000


class SeriesNumbers:
    """Which number each label set has in the database; what is new is added in the transaction that uses it."""

    def __init__(self) -> None:
        self._numbers: dict[Labels, int] = {}
        self._new: dict[Labels, int] = {}
        self.used = 0

    def of(self, connection: Connection, samples: Sequence[Sample]) -> list[int]:
        """The number of each sample's label set."""
        numbers = self._numbers
        # Samples may be made anew at each pass: one pass, and a second one only when there are new series.
        found = [numbers.get(sample.labels) for sample in samples]
        if None not in found:
            return [number for number in found if number is not None]
        self._add(connection, list(dict.fromkeys(sample.labels for sample in samples if sample.labels not in numbers)))
        return [numbers[sample.labels] for sample in samples]

    def committed(self) -> None:
        """The transaction that used the numbers is done."""
        self._new.clear()

    def rolled_back(self) -> None:
        """The transaction that used the numbers was undone, and with it the label sets that were new in it."""
        for labels in self._new:
            self._numbers.pop(labels, None)
        self._new.clear()

    def changed(self) -> None:
        """Series were deleted: ask the database again for every one."""
        self._numbers.clear()
        self._new.clear()

    def forget(self) -> None:
        """Somebody else may have written: ask the database again."""
        self._numbers.clear()
        self._new.clear()
        self.used = 0

    def _add(self, connection: Connection, missing: list[Labels]) -> None:
        by_digest = {digest(labels): labels for labels in missing}
        digests = list(by_digest)
        for start in range(0, len(digests), _BATCH):
            batch = digests[start : start + _BATCH]
            wanted = select(SERIES.c.id, SERIES.c.labels_digest).where(SERIES.c.labels_digest.in_(batch))
            known = {row.labels_digest for row in connection.execute(wanted)}
            rows = [
                {"labels_digest": name, "labels": labels_text(by_digest[name])} for name in batch if name not in known
            ]
            if rows:
                connection.execute(SERIES.insert(), rows)
            for row in connection.execute(wanted):
                self._new[by_digest[row.labels_digest]] = row.id
        self._numbers.update(self._new)


def append(connection: Connection, numbers: SeriesNumbers, samples: Sequence[Sample], *, lasting: bool = False) -> None:
    """Saves the samples of one tick, all of them lasting or none."""
    if not samples:
        return
    blob, first_at, last_at = pack(numbers.of(connection, samples), samples)
    row = {"first_at": first_at, "last_at": last_at, "shifted": 0.0, "samples": blob, "lasting": lasting}
    connection.execute(TICKS.insert().values(row))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Ticks that are read at once, and from which instant on their samples are wanted."""

    numbers: Sequence[int]
    since: float


def parts(connection: Connection, since: float, lasting_since: float) -> list[Part]:
    """The ticks that have a sample at ``since`` or later, lasting ones at ``lasting_since`` or later.

    In the order of their time: lasting ones first, many at a time because each has few samples; no series has samples
    in both.
    """
    found = []
    for lasting, from_, size in ((True, lasting_since, _BATCH), (False, since, 1)):
        wanted = select(TICKS.c.number).where(TICKS.c.lasting == lasting, TICKS.c.last_at >= from_)
        numbers = connection.scalars(wanted.order_by(TICKS.c.first_at, TICKS.c.number)).all()
        found += [Part(numbers=numbers[start : start + size], since=from_) for start in range(0, len(numbers), size)]
    return found


def series_labels(connection: Connection) -> dict[int, Labels]:
    """The label set of each series number."""
    rows = connection.execute(select(SERIES.c.id, SERIES.c.labels))
    return {row.id: Labels(json.loads(row.labels)) for row in rows}


def read(connection: Connection, part: Part, labels: dict[int, Labels]) -> Iterator[Sample]:
    """The samples of some ticks."""
    wanted = select(TICKS.c.samples, TICKS.c.shifted).where(TICKS.c.number.in_(part.numbers))
    for row in connection.execute(wanted.order_by(TICKS.c.first_at, TICKS.c.number)):
        yield from (sample for sample in unpack(row.samples, labels, shifted=row.shifted) if sample.at >= part.since)


def shift(connection: Connection, seconds: float) -> None:
    """Moves every saved sample by so many seconds."""
    moved = {column: TICKS.c[column] + seconds for column in ("first_at", "last_at", "shifted")}
    connection.execute(update(TICKS).values(moved))


def prune(connection: Connection, numbers: SeriesNumbers, before: float, lasting_before: float) -> None:
    """Deletes ticks that ended before the instant of their kind, and now and then the series that no other tick has."""
    for lasting, instant in ((False, before), (True, lasting_before)):
        connection.execute(delete(TICKS).where(TICKS.c.lasting == lasting, TICKS.c.last_at < instant))
    count = connection.scalar(select(func.count()).select_from(SERIES)) or 0
    # Finding the unused ones reads every tick: done when there may be as many of them as of the used.
    if count > 2 * numbers.used + _SPARE_SERIES:
        numbers.used = _delete_unused(connection)
        numbers.changed()


def _delete_unused(connection: Connection) -> int:
    """Deletes series that no tick has; how many are left."""
    used = np.zeros(int(connection.scalar(select(func.max(SERIES.c.id))) or 0) + 1, bool)
    for number in connection.scalars(select(TICKS.c.number)).all():
        used[series_in(connection.execute(select(TICKS.c.samples).where(TICKS.c.number == number)).scalar_one())] = True
    unused = [id_ for id_ in connection.scalars(select(SERIES.c.id)) if not used[id_]]
    for start in range(0, len(unused), _BATCH):
        connection.execute(delete(SERIES).where(SERIES.c.id.in_(unused[start : start + _BATCH])))
    return int(used.sum())
