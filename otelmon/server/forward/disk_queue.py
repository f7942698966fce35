"""Records on disk, first in first out: append-only segment files, bounded together; the oldest goes when they are full.

    00000000000000000007.segment    record record record ...
    record                          length (4 bytes), CRC-32 of length and body (4), body; little-endian
    position                        segment (8), offset (8), CRC-32 of both (4): all before it is done with
    lock                            held by the one process that has the queue open

A record is handed to the kernel when it is appended: killing the process loses none. `end_sync` has the disk write it,
for a machine that loses its power. What was being written then is found by its checksum and skipped.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_POSITION = struct.Struct("<QQ")
_CHECKSUM = struct.Struct("<I")
_SUFFIX = ".segment"
_SEGMENTS = 32
"""Into about so many pieces the room is cut; one of them is dropped at once when it is full."""
_SMALLEST_SEGMENT, _LARGEST_SEGMENT = 2**16, 2**24


@dataclass(slots=True)
class _Segment:
    """A file: the bytes of it that are whole records, and how many were not taken yet, or taken and not done."""

    number: int
    size: int = 0
    waiting: int = 0
    taken: int = 0


class DiskQueue:
    """A queue in a directory of its own; its caller keeps threads apart.

    Methods raise OSError where the disk does not do as it should. `dropped` counts records that had to go for lack of
    room, `damaged` the places from which a segment could not be read on.
    """

    def __init__(self, directory: Path, *, size_bytes: int) -> None:
        """Take up what an earlier process left. Raises OSError, BlockingIOError where another one has it open."""
        self._directory = directory
        self._size = size_bytes
        self._segment_size = min(_LARGEST_SEGMENT, max(_SMALLEST_SEGMENT, size_bytes // _SEGMENTS))
        self.dropped = 0
        self.damaged = 0
        # Records that are taken, and will not be there should they come back.
        self._lost = 0
        self._segments: list[_Segment] = []
        self._writing: int | None = None
        self._reading: tuple[int, int] | None = None
        self._unsynced: list[int] = []
        self._dirty = False
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as opened:
            self._lock = _locked(directory / "lock")
            opened.callback(os.close, self._lock)
            self._at = os.open(directory / "position", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            opened.callback(os.close, self._at)
            self._taken = self._done = self._stored_position()
            self._scan()
            opened.pop_all()

    @property
    def size_bytes(self) -> int:
        """What the segments take on disk."""
        return sum(segment.size for segment in self._segments)

    @property
    def owed_bytes(self) -> int:
        """What of that is not done yet; it takes more on disk, where a segment goes as a whole."""
        number, offset = self._done
        return self.size_bytes - sum(offset for segment in self._segments if segment.number == number)

    @property
    def waiting(self) -> int:
        """How many records were not taken yet."""
        return sum(segment.waiting for segment in self._segments)

    def append(self, body: bytes) -> None:
        """Add a record at the end; what is larger than the whole queue is dropped. After an OSError it is not there."""
        length = _LENGTH.pack(len(body))
        header = length + _CHECKSUM.pack(zlib.crc32(body, zlib.crc32(length)))
        size = len(header) + len(body)
        if size > self._size:
            self.dropped += 1
            return
        if self._writing is None or self._segments[-1].size + size > self._segment_size:
            self._rotate()
        while len(self._segments) > 1 and self.size_bytes + size > self._size:
            self.dropped += self._drop_oldest()
        segment = self._segments[-1]
        assert self._writing is not None  # noqa: S101 (a rotation opens it)
        written = 0
        try:
            written = os.writev(self._writing, (header, body))
        finally:
            if written != size:
                self._undo(segment)
        if written != size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        segment.size += size
        segment.waiting += 1
        self._dirty = True

    def take(self, most_bytes: int, most_records: int) -> list[bytes]:
        """The next records, one at least where there is one; they stay on disk until `done`, or come `back`."""
        found: list[bytes] = []
        room = most_bytes
        while len(found) < most_records and (segment := self._next()) is not None:
            number, offset = self._taken
            body = self._read(segment, offset)
            if body is None:
                self.damaged += 1
                segment.waiting = 0
                self._taken = (number, segment.size)
                continue
            if found and len(body) > room:
                break
            found.append(body)
            room -= len(body)
            segment.waiting -= 1
            segment.taken += 1
            self._taken = (number, offset + _HEADER.size + len(body))
        return found

    def done(self) -> None:
        """All that was taken is done with: its segments go, and it does not come again after a restart."""
        self._done, self._lost = self._taken, 0
        for segment in self._segments:
            segment.taken = 0
        packed = _POSITION.pack(*self._done)
        with suppress(OSError):  # then what was sent is sent again after a restart: better twice than never
            os.pwrite(self._at, packed + _CHECKSUM.pack(zlib.crc32(packed)), 0)
        while len(self._segments) > 1 and self._is_read(self._segments[0]):
            self._remove(self._segments.pop(0))

    def back(self) -> None:
        """What was taken and is not done comes again with the next `take`."""
        self._taken = self._done
        for segment in self._segments:
            segment.waiting, segment.taken = segment.waiting + segment.taken, 0
        self.dropped, self._lost = self.dropped + self._lost, 0

    def begin_sync(self) -> list[int]:
        """Handles for `end_sync`, which may run beside all other methods; none where nothing is to be written."""
        handles, self._unsynced = self._unsynced, []
        if handles and os.name == "posix":
            handles.append(os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC))  # names of new segments
        if self._dirty and self._writing is not None:
            handles.append(os.dup(self._writing))
            self._dirty = False
        return handles

    def close(self) -> None:
        """Write what is there, and let another process have it."""
        with suppress(OSError):
            end_sync(self.begin_sync())
        self._close_reading()
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None
        os.close(self._at)
        os.close(self._lock)

    def _stored_position(self) -> tuple[int, int]:
        stored = os.pread(self._at, _POSITION.size + _CHECKSUM.size, 0)
        packed = stored[: _POSITION.size]
        if len(stored) != _POSITION.size + _CHECKSUM.size or _CHECKSUM.pack(zlib.crc32(packed)) != stored[-4:]:
            return (0, 0)
        number, offset = _POSITION.unpack(packed)
        return (number, offset)

    def _scan(self) -> None:
        """Find the segments, where each ends to be whole, and how many records wait in it."""
        numbers = sorted(int(path.stem) for path in self._directory.glob(f"*{_SUFFIX}") if path.stem.isdigit())
        for number in numbers:
            segment = _Segment(number)
            if number < self._done[0]:
                self._remove(segment)
                continue
            length = self._path(segment).stat().st_size
            segment.size = length
            offset = self._done[1] if number == self._done[0] else 0
            segment.size, segment.waiting = self._count(segment, offset)
            if segment.size < length:
                self.damaged += 1
            self._segments.append(segment)

    def _count(self, segment: _Segment, offset: int) -> tuple[int, int]:
        """Where the whole records from ``offset`` on end, and how many they are."""
        records = 0
        while offset < segment.size and (body := self._read(segment, offset)) is not None:
            offset += _HEADER.size + len(body)
            records += 1
        return offset, records

    def _next(self) -> _Segment | None:
        """The segment of the next record, with `_taken` set to where that begins."""
        for segment in self._segments:
            if segment.number > self._taken[0]:
                self._taken = (segment.number, 0)
            if segment.number == self._taken[0] and self._taken[1] < segment.size:
                return segment
        return None

    def _read(self, segment: _Segment, offset: int) -> bytes | None:
        """The body of the record at ``offset``; None where there is no whole one."""
        try:
            handle = self._opened(segment)
            header = os.pread(handle, _HEADER.size, offset)
            if len(header) < _HEADER.size:
                return None
            length, checksum = _HEADER.unpack(header)
            if offset + _HEADER.size + length > segment.size:
                return None
            body = os.pread(handle, length, offset + _HEADER.size)
        except OSError:
            return None
        whole = len(body) == length and zlib.crc32(body, zlib.crc32(header[:4])) == checksum
        return body if whole else None

    def _opened(self, segment: _Segment) -> int:
        if self._reading is None or self._reading[0] != segment.number:
            self._close_reading()
            self._reading = (segment.number, os.open(self._path(segment), os.O_RDONLY | os.O_CLOEXEC))
        return self._reading[1]

    def _close_reading(self) -> None:
        if self._reading is not None:
            os.close(self._reading[1])
            self._reading = None

    def _rotate(self) -> None:
        newest = self._segments[-1].number if self._segments else 0
        segment = _Segment(max(newest, self._taken[0]) + 1)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        opened = os.open(self._path(segment), flags, 0o600)
        if self._writing is not None:
            self._unsynced.append(self._writing)
        self._writing, self._dirty = opened, True
        self._segments.append(segment)

    def _undo(self, segment: _Segment) -> None:
        """Take back half a record; where that is not possible either nothing more is written behind it."""
        assert self._writing is not None  # noqa: S101
        try:
            os.ftruncate(self._writing, segment.size)
        except OSError:
            self._unsynced.append(self._writing)
            self._writing = None

    def _drop_oldest(self) -> int:
        oldest = self._segments.pop(0)
        self._remove(oldest)
        self._lost += oldest.taken
        return oldest.waiting

    def _is_read(self, segment: _Segment) -> bool:
        number, offset = self._done
        return segment.number < number or (segment.number == number and offset >= segment.size)

    def _remove(self, segment: _Segment) -> None:
        if self._reading is not None and self._reading[0] == segment.number:
            self._close_reading()
        with suppress(OSError):  # what stays lies before the position: the next start tries again
            self._path(segment).unlink(missing_ok=True)

    def _path(self, segment: _Segment) -> Path:
        return self._directory / f"{segment.number:020}{_SUFFIX}"


def end_sync(handles: Sequence[int]) -> None:
    """Have the disk write what `DiskQueue.begin_sync` gave the handles for. Raises OSError where it cannot."""
    with ExitStack() as stack:
        for handle in handles:
            stack.callback(os.close, handle)
        for handle in handles:
            os.fsync(handle)


def _locked(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        import fcntl
    except ImportError:
        return handle  # Windows has no such lock; one server a state directory is the operator's affair there
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle
