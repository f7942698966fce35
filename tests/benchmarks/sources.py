"""What the hooks of sources cost: ``python -m tests.benchmarks.sources``.

An operation around nothing, and taking and giving back a connection that is there, with otelmon and without, in turns
in one process, so that both see the same machine; and what each costs later, on the collecting thread. CPU time. SQLite
behind a QueuePool: with a database that is asked over a network, the same microseconds are a smaller part.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from time import thread_time

import sqlalchemy
from opentelemetry.sdk.metrics import MeterProvider
from sqlalchemy.pool import QueuePool

from otelmon.collect.meter import OwnMeter
from otelmon.collect.reader import Reader
from otelmon.faults import Faults
from otelmon.instrument.operations import Operation
from otelmon.instrument.sources import Sources

ROUNDS = 40
CALLS = 500


def microseconds(call: Callable[[], object]) -> float:
    """Of one call, by many."""
    began = thread_time()
    for _ in range(CALLS):
        call()
    return (thread_time() - began) / CALLS * 1e6


def compare(name: str, sources: Sources, call: Callable[[], object]) -> None:
    """Print what a call costs without and with measuring, medians of alternating rounds."""
    provider = MeterProvider(metric_readers=[Reader()], shutdown_on_exit=False)
    without, measured, flushed = [], [], []
    for _ in range(ROUNDS):
        without.append(microseconds(call))
        meter = OwnMeter(provider, "otelmon")
        sources.begin(meter, Faults())
        measured.append(microseconds(call))
        began = thread_time()
        sources.sample()
        flushed.append((thread_time() - began) / CALLS * 1e6)
        sources.end()
        meter.close()
    bare, whole = statistics.median(without), statistics.median(measured)
    print(
        f"{name:<44} {bare:8.1f} us {whole:8.1f} us  +{whole - bare:.1f} us  {statistics.median(flushed):6.1f} us later"
    )


def main() -> None:
    sources = Sources()
    engine = sqlalchemy.create_engine("sqlite://", poolclass=QueuePool, connect_args={"check_same_thread": False})
    query = sqlalchemy.text("select 1")

    def operate() -> None:
        with Operation(sources.operations, "upload") as operation:
            operation.add_bytes(1)

    def take() -> None:
        engine.raw_connection().close()

    def ask() -> None:
        with engine.connect() as connection:
            connection.execute(query).all()

    print(f"{'':<44} {'without':>11} {'with':>11}")
    compare("an operation with bytes", sources, operate)
    compare("a connection taken and given back", sources, take)
    compare("a connection taken, one query, given back", sources, ask)
    began = thread_time()
    sources.begin(OwnMeter(MeterProvider(shutdown_on_exit=False), "otelmon"), Faults())
    take()
    for _ in range(CALLS):
        sources.sample()
    print(f"a sample of one pool, before a collection: {(thread_time() - began) / CALLS * 1e6:.1f} us")
    sources.end()
    engine.dispose()


if __name__ == "__main__":
    main()
