"""Room: how many requests are read at once, and how many bytes they hold; the slowest gives way to the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class FullError(Exception):
    """There is no room, and nobody who could make some: the client is to come again later."""


class Place:
    """What one request has of the room. ``gone`` is whether it had to give way."""

    def __init__(self, room: Room, give_way: Callable[[], object]) -> None:
        self.gone = False
        self.bytes = 0
        self.give_way = give_way
        self._room = room

    def hold(self, size: int) -> None:
        """So many bytes more came of it. Raises FullError."""
        self._room.hold(self, size)

    def whole(self) -> None:
        """It has come whole, and is handled from now on: it gives way to nobody. Raises FullError."""
        self._room.whole(self)


class Room:
    """Room for ``most`` requests that are read and as many that are handled, of ``most_bytes`` together.

    A client that dawdles costs a place. So when a place or bytes are wanted and there are none left, the request that
    has been read for longest gives way: whoever sends at a usual pace is long done by then. For any thread.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        # By when they came, the longest first.
        self._reading: dict[Place, None] = {}
        self._handling: set[Place] = set()

    @property
    def handling(self) -> int:
        """How many requests are handled."""
        return len(self._handling)

    @contextmanager
    def reading(self, give_way: Callable[[], object]) -> Iterator[Place]:
        """A place for a request; ``give_way`` ends it from any thread, and is called once at most."""
        place = Place(self, give_way)
        with self._lock:
            longest = self._longest() if len(self._reading) >= self._most else None
            self._reading[place] = None
        if longest is not None:
            longest.give_way()
        try:
            yield place
        finally:
            with self._lock:
                self._leave(place)

    def hold(self, place: Place, size: int) -> None:
        """See `Place.hold`."""
        leaving = []
        with self._lock:
            if place.gone:
                return
            place.bytes += size
            self._bytes += size
            while self._bytes > self._most_bytes:
                longest = self._longest(but=place)
                if longest is None:
                    break
                leaving.append(longest)
            full = self._bytes > self._most_bytes
        for each in leaving:
            each.give_way()
        if full:
            raise FullError

    def whole(self, place: Place) -> None:
        """See `Place.whole`."""
        with self._lock:
            if place.gone or len(self._handling) >= self._most:
                raise FullError
            del self._reading[place]
            self._handling.add(place)

    def _longest(self, but: Place | None = None) -> Place | None:
        """Who has been read for longest, and is not any more."""
        found = next((place for place in self._reading if place is not but), None)
        if found is not None:
            found.gone = True
            self._leave(found)
        return found

    def _leave(self, place: Place) -> None:
        self._reading.pop(place, None)
        self._handling.discard(place)
        self._bytes -= place.bytes
        place.bytes = 0
