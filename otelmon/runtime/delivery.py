"""How delivery goes: by notifier, for people who ask and as metrics that rules see."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otelmon.notify.tally import Tally, total
from otelmon.notify.worker import Worker
from otelmon.storage.store import Backlog, Storage

NOTIFIER = "notifier"
"""The attribute, and the label, that says which notifier."""
_MOST_REJECTIONS = 20


class Delivery:
    """What became of the pages of every notifier that is configured or that something is owed to.

    ``look`` reads what is owed, from the delivery thread; the metrics and ``answer`` show what it saw.
    """

    def __init__(self, names: Sequence[str], workers: Sequence[Worker], storages: Sequence[Storage]) -> None:
        self._names = tuple(names)
        self._workers = tuple(workers)
        self._storages = tuple(storages)
        self._owed: Mapping[str, Backlog] = {}
        self._lock = threading.Lock()

    def look(self, at: datetime) -> None:
        """Read what is owed now."""
        found: dict[str, Backlog] = {}
        for storage in self._storages:
            for name, backlog in storage.backlog(at).items():
                found[name] = _both(found[name], backlog) if name in found else backlog
        with self._lock:
            self._owed = found

    def measure(self, meter: Meter) -> None:
        """Make the metrics of it on this meter."""
        counters: tuple[tuple[str, str, Callable[[Tally], int]], ...] = (
            ("sent", "Pages and edits that their notifier took.", lambda tally: tally.delivered),
            ("failed", "Attempts that failed and are made again.", lambda tally: tally.retried),
            ("rejected", "New messages that their notifier will never take.", lambda tally: tally.rejected),
        )
        for name, description, figure in counters:
            meter.create_observable_counter(
                f"otelmon.page.{name}", [self._tallied(figure)], unit="{page}", description=description
            )
        gauges: tuple[tuple[str, str, Callable[[Backlog], int]], ...] = (
            ("depth", "Pages and edits that are owed.", lambda backlog: backlog.owed),
            ("late", "New messages that are owed for too long.", lambda backlog: backlog.late),
        )
        for name, description, amount in gauges:
            meter.create_observable_gauge(
                f"otelmon.outbox.{name}", [self._backlogged(amount)], unit="{page}", description=description
            )

    def answer(self) -> dict[str, Any]:
        """For `delivery` on the control socket: each notifier, and the last rejections. Instants are unix seconds."""
        tallies, owed = self._tallies(), self._backlogs()
        rejections = [each for storage in self._storages for each in storage.rejections(_MOST_REJECTIONS)]
        rejections.sort(key=lambda each: each.at, reverse=True)
        return {
            "notifiers": [
                {
                    "name": name,
                    "delivered": tallies[name].delivered,
                    "retried": tallies[name].retried,
                    "rejected": tallies[name].rejected,
                    "owed": owed[name].owed,
                    "late": owed[name].late,
                    "oldest_at": _seconds(owed[name].oldest_at),
                    "last_error": tallies[name].last_error,
                    "last_error_at": _seconds(tallies[name].last_error_at),
                }
                for name in tallies
            ],
            "rejections": [
                {
                    "at": each.at.timestamp(),
                    "notifier": each.target,
                    "incident": each.incident_id,
                    "page": each.reason.value,
                    "title": each.title,
                    "reason": each.outcome,
                }
                for each in rejections[:_MOST_REJECTIONS]
            ],
        }

    def _tallied(self, figure: Callable[[Tally], int]) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            for name, tally in self._tallies().items():
                yield Observation(figure(tally), {NOTIFIER: name})

        return observe

    def _backlogged(self, amount: Callable[[Backlog], int]) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            for name, backlog in self._backlogs().items():
                yield Observation(amount(backlog), {NOTIFIER: name})

        return observe

    def _known(self) -> list[str]:
        tallied = (name for worker in self._workers for name in list(worker.tallies))
        with self._lock:
            return list(dict.fromkeys((*self._names, *tallied, *self._owed)))

    def _tallies(self) -> dict[str, Tally]:
        return {
            name: total(worker.tallies[name] for worker in self._workers if name in worker.tallies)
            for name in self._known()
        }

    def _backlogs(self) -> dict[str, Backlog]:
        names = self._known()
        with self._lock:
            return {name: self._owed.get(name, Backlog()) for name in names}


def _both(one: Backlog, other: Backlog) -> Backlog:
    oldest = min(filter(None, (one.oldest_at, other.oldest_at)), default=None)
    return Backlog(owed=one.owed + other.owed, oldest_at=oldest, late=one.late + other.late)


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
