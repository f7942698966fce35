"""A process that forwards numbers until it is killed: `python -m tests.server.forward.feeder FOLDER URL`.

It says each number once it has handed it to the forwarder.
"""

from __future__ import annotations

import sys
import threading
from itertools import count
from pathlib import Path

from pydantic import SecretStr

from otelmon.collect.otlp import Signal
from otelmon.config.forward import ForwardSettings
from otelmon.faults import Faults
from otelmon.server.forward.forwarder import Forwarder
from tests.server.forward.backend import body_of


def target(url: str) -> ForwardSettings:
    return ForwardSettings(endpoint=SecretStr(url), place="backend", signals=(Signal.METRICS,))


def main(folder: str, url: str) -> None:
    forwarder = Forwarder((target(url),), directory=Path(folder), faults=Faults())
    threading.Thread(target=forwarder.run, args=(threading.Event(),), daemon=True).start()
    for value in count():
        forwarder.put(Signal.METRICS, body_of(value))
        print(value, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
