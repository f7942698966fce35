"""The control socket: how `otelmon query` and `otelmon reload` reach the monitor that runs.

A Unix socket in the state directory, for the user who runs the app alone (mode 0600). A connection is one exchange:
a line of JSON asks, a line of JSON answers. Sizes and times are bounded, so that nobody who connects can hold up
anything but this one thread.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from otelmon.clock import Clock
from otelmon.errors import StateError
from otelmon.faults import Faults

SOCKET_FILE = "control.sock"
MOST_REQUEST_BYTES = 64 * 1024
MOST_ANSWER_BYTES = 16 * 1024 * 1024

Plain = Mapping[str, Any]
Answer = Callable[[Plain], Plain]

# How long a client may take to ask, and to take the answer.
_EXCHANGE_SECONDS = 5.0
# How often it is looked whether the socket's path is ours still: a process that evaluated before, and had not noticed
# that it does not any more, may have taken it.
_LOOK_SECONDS = 1.0
# How soon it is tried again after a failure.
_AGAIN_SECONDS = 5.0
# sockaddr_un has room for 108 bytes on Linux, 104 on macOS.
_LONGEST_ADDRESS = 100


class ControlServer:
    """Answers on the control socket of a state directory until ``stop`` is set.

    Of several processes the one that evaluates answers; it replaces the socket of the one that did so before, which may
    have been killed or stopped. ``answer`` is called in this thread and may raise nothing.
    """

    def __init__(self, folder: Path, answer: Answer, *, clock: Clock, stop: threading.Event, faults: Faults) -> None:
        self._folder = folder
        self._answer = answer
        self._clock = clock
        self._stop = stop
        self._faults = faults
        self._waker, self._woken = socket.socketpair()

    def wake(self) -> None:
        """See at once that ``stop`` is set."""
        with suppress(OSError):
            self._waker.send(b"\0")

    def run(self) -> None:
        """Serve; returns once ``stop`` is set."""
        if not hasattr(socket, "AF_UNIX") or sys.platform == "win32":
            return
        with closing(self._waker), closing(self._woken):
            while not self._stop.is_set():
                try:
                    self._listen()
                    continue
                except OSError as error:
                    self._faults.add("control", f"otelmon query cannot reach this process: {error}")
                except Exception as error:  # noqa: BLE001 (whatever fails here, the app serves on)
                    self._faults.add("control", "the control socket failed", error)
                self._clock.wait(self._stop, _AGAIN_SECONDS)

    def _listen(self) -> None:
        path = self._folder / SOCKET_FILE
        # Bound beside the path and moved there once it listens: whoever asks while one process takes over from another
        # finds one of the two, never nobody.
        coming = self._folder / f"{SOCKET_FILE}.{os.getpid()}"
        coming.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            try:
                with _address(coming) as address:
                    listener.bind(address)
                # Nobody can connect before listen().
                coming.chmod(0o600)
                ours = coming.stat().st_ino
                listener.listen(8)
                coming.replace(path)
            except OSError:
                coming.unlink(missing_ok=True)
                raise
            try:
                while not self._stop.is_set() and _is_at(path, ours):
                    self._accept(listener)
            finally:
                # Not that of a process which has taken over meanwhile.
                if _is_at(path, ours):
                    path.unlink(missing_ok=True)

    def _accept(self, listener: socket.socket) -> None:
        """Serve one client, or none for a while."""
        ready, _, _ = select.select([listener, self._woken], [], [], _LOOK_SECONDS)
        if listener not in ready or self._stop.is_set():
            return
        try:
            connection, _ = listener.accept()
            with connection:
                self._exchange(connection)
        except (OSError, ValueError) as error:  # the client is gone, too slow, or speaks another language
            self._faults.add("control.client", f"a client of the control socket was let go: {error}")

    def _exchange(self, connection: socket.socket) -> None:
        deadline = time.monotonic() + _EXCHANGE_SECONDS
        line = receive_line(connection, most_bytes=MOST_REQUEST_BYTES, deadline=deadline)
        try:
            asked = json.loads(line)
        except (ValueError, RecursionError):
            asked = None
        said = self._answer(asked) if isinstance(asked, dict) else {"error": "a JSON object in one line is expected"}
        text = json.dumps(said).encode()
        if len(text) > MOST_ANSWER_BYTES:
            text = json.dumps({"error": f"the answer has more than {MOST_ANSWER_BYTES} bytes; ask for less"}).encode()
        connection.settimeout(_EXCHANGE_SECONDS)
        connection.sendall(text + b"\n")


def _is_at(path: Path, inode: int) -> bool:
    with suppress(OSError):
        return path.stat().st_ino == inode
    return False


def ask(folder: Path, request: Plain, *, timeout_seconds: float = 30.0) -> dict[str, Any]:
    """What the monitor with this state directory answers. Raises StateError where none does, or where it refuses."""
    if not hasattr(socket, "AF_UNIX"):
        raise StateError("this system has no Unix sockets, by which a running monitor is asked")
    deadline = time.monotonic() + timeout_seconds
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, _address(folder / SOCKET_FILE) as address:
            connection.settimeout(timeout_seconds)
            connection.connect(address)
            connection.sendall(json.dumps(request).encode() + b"\n")
            said = json.loads(receive_line(connection, most_bytes=MOST_ANSWER_BYTES + 1, deadline=deadline))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise StateError(f"no monitor runs with the state directory {folder}; is the app up, with this one?") from error
    except (OSError, ValueError) as error:
        raise StateError(f"the monitor with the state directory {folder} does not answer: {error}") from error
    if not isinstance(said, dict) or "error" in said:
        raise StateError(str(said.get("error")) if isinstance(said, dict) else "the monitor gave no answer")
    return said


def receive_line(connection: socket.socket, *, most_bytes: int, deadline: float) -> bytes:
    """Bytes up to a line's end; ``deadline`` is an instant of time.monotonic. Raises OSError or ValueError."""
    data = bytearray()
    while not data.endswith(b"\n"):
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("it took too long")
        connection.settimeout(remaining)
        part = connection.recv(65536)
        if not part:
            raise ValueError("the connection ended in the middle of a line")
        data += part
        if len(data) > most_bytes:
            raise ValueError(f"more than {most_bytes} bytes in a line")
    return bytes(data)


@contextmanager
def _address(file: Path) -> Iterator[str]:
    """The address of a socket's file; where its path is longer than an address may be, by way of an open directory
    (Linux).
    """
    path = str(file.absolute())
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield path
        return
    if not Path("/proc/self/fd").is_dir():
        raise OSError(f"{path} is too long for a socket; set OTELMON_STATE_DIR to a shorter path")
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{file.name}"
    finally:
        os.close(directory)
