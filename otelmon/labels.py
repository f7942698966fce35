"""Labels: the identity of a series and of an alert."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

METRIC_NAME = "__name__"

_interned: dict[tuple[tuple[str, str], ...], Labels]
_FIRST_SWEEP = 4096


class Labels(Mapping[str, str]):
    """An immutable, interned, hashable set of label names and values.

    A label with an empty value is the same as no label (Prometheus data model), so it is dropped. Equal label sets
    are mostly the same object, which makes comparison and dictionary look-up as cheap as for a number; only equality
    may be relied on.

    There are tens of thousands of them, and each object that Python's garbage collector must visit lengthens the
    pauses of the application: so a label set is one such object, without a dictionary or a weak reference of its own.
    """

    __slots__ = ("_hash", "_pairs")

    _pairs: tuple[tuple[str, str], ...]
    _hash: int

    def __new__(cls, labels: Mapping[str, str] | Iterable[tuple[str, str]] = (), /) -> Labels:  # noqa: PYI034 (an equal set is returned as it is)
        """The label set of these names and values; an existing equal set is returned as it is."""
        if isinstance(labels, Labels):
            return labels
        values = {name: value for name, value in dict(labels).items() if value != ""}
        pairs = tuple(sorted(values.items()))
        found = _interned.get(pairs)
        if found is None:
            found = super().__new__(cls)
            found._pairs = pairs
            found._hash = hash(pairs)
            # setdefault, so that two threads that intern the same set agree on one object.
            found = _interned.setdefault(pairs, found)
            if len(_interned) > _sweep_at[0]:
                _sweep()
        return found

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(name, value) pairs in the order of the names."""
        return self._pairs

    @property
    def metric_name(self) -> str:
        """The value of ``__name__``, empty where there is none."""
        return str(self.get(METRIC_NAME, ""))

    def with_label(self, name: str, value: str) -> Labels:
        """The same labels with one set (or removed, by an empty value)."""
        return Labels({**dict(self._pairs), name: value})

    def with_labels(self, labels: Mapping[str, str]) -> Labels:
        """The same labels with these set over them."""
        return Labels({**dict(self._pairs), **labels})

    def without(self, names: Iterable[str]) -> Labels:
        """The same labels less these names."""
        dropped = frozenset(names)
        return Labels({name: value for name, value in self._pairs if name not in dropped})

    def only(self, names: Iterable[str]) -> Labels:
        """Only the labels of these names."""
        kept = frozenset(names)
        return Labels({name: value for name, value in self._pairs if name in kept})

    def __getitem__(self, name: str) -> str:
        for key, value in self._pairs:
            if key == name:
                return value
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a label, or ``default``."""
        for key, value in self._pairs:
            if key == name:
                return value
        return default

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._pairs)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._pairs])

    def __len__(self) -> int:
        return len(self._pairs)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, Labels):
            return self._pairs == other._pairs
        return NotImplemented

    def __reduce__(self) -> tuple[type[Labels], tuple[dict[str, str]]]:
        return (Labels, (dict(self._pairs),))

    def __str__(self) -> str:
        inner = ", ".join(f"{name}={_quote(value)}" for name, value in self._pairs if name != METRIC_NAME)
        return f"{self.metric_name}{{{inner}}}"

    def __repr__(self) -> str:
        return f"Labels({dict(self._pairs)!r})"


def _quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _sweep() -> None:
    """Let go of label sets that nobody else holds. Done when there are twice as many as the last time left over."""
    for pairs in list(_interned):
        # One that another thread takes at this very moment may be made a second time later, and equal the first.
        with suppress(KeyError):
            if sys.getrefcount(_interned[pairs]) == _UNSHARED:
                del _interned[pairs]
    _sweep_at[0] = max(_FIRST_SWEEP, 2 * len(_interned))


# The table's reference, and that of the call which asks.
_UNSHARED = 2
_sweep_at = [_FIRST_SWEEP]
_interned = {}
EMPTY_LABELS = Labels()
