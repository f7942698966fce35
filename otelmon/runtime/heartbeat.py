"""Heartbeat: an address that is called after good ticks, so that somebody outside notices when they end.

A monitor in the app's process dies with it, and its host takes both. What is outside, a dead-man's switch
(Healthchecks.io, Better Stack, Cronitor, Dead Man's Snitch and their kin), pages when the calls stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from pydantic import SecretStr

from otelmon.faults import Faults
from otelmon.instrument.own_calls import leave_out_calls
from otelmon.runtime.ticks import Tick

_FAULT = "heartbeat"


class Heartbeat:
    """Calls ``url`` (POST) after a good tick, at most once ``every_seconds``, each time in a thread of its own.

    One call is under way at a time, for 10 s at most. A failed call is counted, logged once, and tried again with the
    next good tick that is due; nobody is paged for it, since the other side does that. The address is a secret: whoever
    has it can keep the switch quiet.
    """

    def __init__(
        self, url: SecretStr, *, service: str, every_seconds: float, monotonic: Callable[[], float], faults: Faults
    ) -> None:
        self.sent = 0
        self.failed = 0
        self._url = url
        self._service = service
        self._every_seconds = every_seconds
        self._monotonic = monotonic
        self._faults = faults
        self._due_at = monotonic()
        self._call: threading.Thread | None = None

    def ticked(self, tick: Tick) -> None:
        """Call where the tick was good and a call is due. Returns at once."""
        now = self._monotonic()
        if tick.flaw is not None or now < self._due_at or (self._call is not None and self._call.is_alive()):
            return
        # A tick comes a moment early now and then; that must not cost a whole further tick.
        self._due_at = now + 0.95 * self._every_seconds
        self._call = threading.Thread(target=self._send, name="otelmon-heartbeat", daemon=True)
        self._call.start()

    def _send(self) -> None:
        leave_out_calls()
        problem = self._problem()
        if problem:
            self.failed += 1
            self._faults.add(_FAULT, f"the heartbeat's address cannot be called: {problem}")
        else:
            self.sent += 1
            self._faults.clear(_FAULT)

    def _problem(self) -> str:
        """What went wrong, without the address; empty where nothing did."""
        import httpx

        from otelmon.notify.exchange import BoundedClient, ExchangeError

        client = BoundedClient()
        try:
            reply = client.exchange("POST", httpx.URL(self._url.get_secret_value()), {"service": self._service})
        except ExchangeError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 (an address that is none; its text would show it)
            return type(error).__name__
        finally:
            client.close()
        return "" if 200 <= reply.status < 300 else f"it answers {reply.status}"
