"""Labels: the identity of a series and of an alert."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

METRIC_NAME = "__name__"

_interned: WeakValueDictionary[tuple[tuple[str, str], ...], Labels]


class Labels(Mapping[str, str]):
    """An immutable, interned, hashable set of label names and values.

    A label with an empty value is the same as no label (Prometheus data model), so it is dropped. Equal label sets
    are the same object, which makes comparison and dictionary look-up as cheap as for a number.
    """

    __slots__ = ("__weakref__", "_hash", "_pairs", "_values")

    _pairs: tuple[tuple[str, str], ...]
    _values: dict[str, str]
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
            found._values = dict(pairs)
            found._hash = hash(pairs)
            # setdefault, so that two threads that intern the same set agree on one object.
            found = _interned.setdefault(pairs, found)
        return found

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(name, value) pairs in the order of the names."""
        return self._pairs

    @property
    def metric_name(self) -> str:
        """The value of ``__name__``, empty where there is none."""
        return self._values.get(METRIC_NAME, "")

    def with_label(self, name: str, value: str) -> Labels:
        """The same labels with one set (or removed, by an empty value)."""
        return Labels({**self._values, name: value})

    def with_labels(self, labels: Mapping[str, str]) -> Labels:
        """The same labels with these set over them."""
        return Labels({**self._values, **labels})

    def without(self, names: Iterable[str]) -> Labels:
        """The same labels less these names."""
        dropped = frozenset(names)
        return Labels({name: value for name, value in self._pairs if name not in dropped})

    def only(self, names: Iterable[str]) -> Labels:
        """Only the labels of these names."""
        kept = frozenset(names)
        return Labels({name: value for name, value in self._pairs if name in kept})

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a label, or ``default``."""
        return self._values.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

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


_interned = WeakValueDictionary()
EMPTY_LABELS = Labels()
