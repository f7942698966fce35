"""Operation: a piece of work that the application names, with its attempts, failures, duration and bytes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from opentelemetry.metrics import Counter, Histogram, Meter

from otelmon.faults import Faults
from otelmon.instrument.deferred import Deferred

_DURATION = "otelmon.operation.duration"
_BYTES = "otelmon.operation.io"
# Uploads and jobs take from milliseconds to a quarter of an hour.
_BOUNDS_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
# A name made of data (an upload's id in it) would be a series each; what is beyond so many shares one name.
_MOST_NAMES = 200
_OTHER = "_OTHER"
# The other side hung up, or the process ends: no fault of the operation. Some frameworks raise classes of their own.
_ABORTS = (
    asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit,
    ConnectionResetError, ConnectionAbortedError, BrokenPipeError,
)  # fmt: skip
_DISCONNECT_NAMES = frozenset({"ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect", "RequestAborted"})

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Operations:
    """Counts what operations did; until ``create_instruments``, and after ``release``, it counts nothing.

    Instruments: ``otelmon.operation.duration`` (s, a histogram, whose count is the attempts) and
    ``otelmon.operation.io`` (By, a counter), by ``otelmon.operation.name`` and, for the duration,
    ``otelmon.operation.outcome`` (success, failure, aborted) and ``error.type`` of a failure.
    """

    def __init__(self, deferred: Deferred) -> None:
        self._deferred = deferred
        self._duration: Histogram | None = None
        self._bytes: Counter | None = None
        self._faults = Faults()
        self._names: set[str] = set()

    def create_instruments(self, meter: Meter, faults: Faults) -> None:
        """Count with this meter from now on."""
        self._faults = faults
        self._bytes = meter.create_counter(_BYTES, "By", "Bytes that operations moved.")
        self._duration = meter.create_histogram(
            _DURATION, "s", "How long operations took.", explicit_bucket_boundaries_advisory=_BOUNDS_SECONDS
        )

    def release(self) -> None:
        """Count nothing from now on."""
        self._duration = self._bytes = None

    def ended(self, name: str, seconds: float, size: int, error: BaseException | None) -> None:
        """Count one attempt. Never raises."""
        duration, counter = self._duration, self._bytes
        if duration is None or counter is None:
            return
        try:
            name = self._bounded(name)
            attributes = {"otelmon.operation.name": name, "otelmon.operation.outcome": "success"}
            if error is not None:
                failed = not is_abort(error)
                attributes["otelmon.operation.outcome"] = "failure" if failed else "aborted"
                if failed:
                    attributes["error.type"] = _error_type(error)
            self._deferred.add(duration.record, seconds, attributes)
            if size:
                self._deferred.add(counter.add, size, {"otelmon.operation.name": name})
        except Exception as fault:  # noqa: BLE001 (the operation itself went well, or raises its own error)
            self._faults.add("operation", "an operation could not be counted", fault)

    def _bounded(self, name: str) -> str:
        if name in self._names:
            return name
        if len(self._names) >= _MOST_NAMES:
            message = f"more than {_MOST_NAMES} names of operations; further ones are counted together as {_OTHER}"
            self._faults.add("operation", message)
            return _OTHER
        self._names.add(name)
        return name


class Operation:
    """One attempt of a named operation: ``with`` or ``async with`` around it, or a decorator of a function.

    An exception that leaves it is a failure, by its type, and goes on its way; a client that disconnects
    (ClientDisconnect, a cancelled task, a reset connection) is none. As a decorator each call is an attempt; the
    function may be a coroutine function. One object serves one attempt at a time.
    """

    __slots__ = ("_began", "_error", "_name", "_operations", "_size")

    def __init__(self, operations: Operations, name: str) -> None:
        self._operations = operations
        self._name = name
        self._began = 0.0
        self._size = 0
        self._error: BaseException | None = None

    def add_bytes(self, count: int) -> None:
        """So many more bytes were moved."""
        self._size += count

    def fail(self, error: BaseException) -> None:
        """Count the attempt as failed although it will end without raising, for an error that the code handles."""
        self._error = error

    def __enter__(self) -> Self:
        self._size, self._error, self._began = 0, None, time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._began
        self._operations.ended(self._name, seconds, self._size, error if error is not None else self._error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: _Function) -> _Function:
        """The function with each call of it watched as an attempt."""
        operations, name = self._operations, self._name
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with Operation(operations, name):
                    return await function(*args, **kwargs)

            return cast("_Function", awaited)

        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with Operation(operations, name):
                return function(*args, **kwargs)

        return cast("_Function", called)


def is_abort(error: BaseException) -> bool:
    """Whether an error says that the other side hung up or nobody waits; of a group, all of its parts."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_abort(each) for each in error.exceptions)
    return isinstance(error, _ABORTS) or any(kind.__name__ in _DISCONNECT_NAMES for kind in type(error).__mro__)


def _error_type(error: BaseException) -> str:
    """The exception's qualified name, as the semantic conventions want ``error.type``; builtins without a module."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
