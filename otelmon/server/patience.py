"""Patience: for how long a connection may send no whole head of a request. uvicorn itself waits for ever."""

from __future__ import annotations

import asyncio
from typing import Any


def patient(seconds: float) -> type[asyncio.Protocol]:
    """Uvicorn's protocol, which ends a connection that has not sent the head of its request in so many seconds."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class Patient(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        _end: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is None or self.cycle.response_complete:
                self._wait()
            else:
                self._stop_waiting()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            if self._end is None:
                self._end = asyncio.get_running_loop().call_later(seconds, self.transport.abort)

        def _stop_waiting(self) -> None:
            if self._end is not None:
                self._end.cancel()
                self._end = None

    return Patient
