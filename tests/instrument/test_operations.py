"""Operations: what the application names is counted, and uploads that fail page once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect

import otelmon
from otelmon.instrument.deferred import Deferred
from otelmon.instrument.operations import Operation, Operations
from otelmon.instrument.sources import Sources
from tests.instrument.recording import Recording, recording, simulation

NAME = "otelmon.operation.duration"
LABEL = "otelmon__operation__name"


@pytest.fixture
def recorded() -> Iterator[Recording]:
    with recording(Sources()) as found:
        yield found


def attempt(recorded: Recording, name: str, error: BaseException | None = None, size: int = 0) -> None:
    with Operation(recorded.sources.operations, name) as operation:
        operation.add_bytes(size)
        if error is not None:
            raise error


def outcomes(recorded: Recording, name: str) -> dict[tuple[str, str | None], int]:
    return {
        (point.attributes["otelmon.operation.outcome"], point.attributes.get("error.type")): point.count
        for point in recorded.points(NAME)
        if point.attributes["otelmon.operation.name"] == name
    }


def test_attempts_failures_by_type_and_bytes_are_counted(recorded: Recording) -> None:
    attempt(recorded, "upload", size=10)
    attempt(recorded, "upload", size=5)
    with pytest.raises(OSError, match="full"):
        attempt(recorded, "upload", OSError("full"), size=2)
    assert outcomes(recorded, "upload") == {("success", None): 2, ("failure", "OSError"): 1}
    assert recorded.value("otelmon.operation.io", otelmon__operation__name="upload") == 17


@pytest.mark.parametrize(
    "error",
    [
        ClientDisconnect(),
        asyncio.CancelledError(),
        ConnectionResetError(),
        KeyboardInterrupt(),
        BaseExceptionGroup("", [ClientDisconnect(), asyncio.CancelledError()]),
    ],
    ids=repr,
)
def test_a_client_that_hangs_up_is_no_failure(recorded: Recording, error: BaseException) -> None:
    with pytest.raises(type(error)):
        attempt(recorded, "upload", error)
    assert outcomes(recorded, "upload") == {("aborted", None): 1}


def test_a_group_with_a_real_error_in_it_is_a_failure(recorded: Recording) -> None:
    with pytest.raises(BaseExceptionGroup):
        attempt(recorded, "upload", BaseExceptionGroup("", [ClientDisconnect(), OSError()]))
    assert outcomes(recorded, "upload") == {("failure", "ExceptionGroup"): 1}


def test_a_decorator_counts_each_call_also_of_coroutines_that_overlap(recorded: Recording) -> None:
    @Operation(recorded.sources.operations, "sync")
    def work(fails: bool) -> str:
        if fails:
            raise LookupError
        return "done"

    @Operation(recorded.sources.operations, "async")
    async def wait(event: asyncio.Event) -> str:
        await event.wait()
        return "done"

    async def both() -> list[str]:
        event = asyncio.Event()
        asyncio.get_running_loop().call_soon(event.set)
        async with Operation(recorded.sources.operations, "block"):
            return await asyncio.gather(wait(event), wait(event))

    assert work(fails=False) == "done"
    with pytest.raises(LookupError):
        work(fails=True)
    assert asyncio.run(both()) == ["done", "done"]
    assert outcomes(recorded, "sync") == {("success", None): 1, ("failure", "LookupError"): 1}
    assert outcomes(recorded, "async") == {("success", None): 2}
    assert outcomes(recorded, "block") == {("success", None): 1}


def test_a_failure_that_the_code_handles_can_be_counted(recorded: Recording) -> None:
    with Operation(recorded.sources.operations, "upload") as operation:
        operation.fail(TimeoutError())
    assert outcomes(recorded, "upload") == {("failure", "TimeoutError"): 1}


def test_names_made_of_data_do_not_become_a_series_each(recorded: Recording) -> None:
    for number in range(250):
        attempt(recorded, f"upload-{number}")
    names = {point.attributes["otelmon.operation.name"] for point in recorded.points(NAME)}
    assert len(names) == 201
    assert recorded.value(NAME, otelmon__operation__name="_OTHER") == 50
    assert recorded.faults.counts["operation"] == 50


def test_without_a_monitor_an_operation_only_does_its_work() -> None:
    with otelmon.operation("upload") as operation:
        operation.add_bytes(1)
    with pytest.raises(ValueError, match="mine"), otelmon.operation("upload"):
        raise ValueError("mine")


def test_what_cannot_be_counted_does_not_reach_the_application(recorded: Recording) -> None:
    recorded.sources.operations.ended([], 1.0, 0, None)  # type: ignore[arg-type]
    assert recorded.faults.counts["operation"] == 1
    Operations(Deferred()).ended("upload", 1.0, 0, None)


def test_measurements_beyond_a_bound_are_lost_and_that_is_said(recorded: Recording) -> None:
    for _ in range(60_010):
        recorded.sources.operations.ended("upload", 0.1, 0, None)
    assert recorded.value(NAME, otelmon__operation__name="upload") == 60_000
    assert recorded.faults.counts["deferred"] == 10


def test_uploads_that_fail_page_once_and_resolve_once(recorded: Recording, tmp_path: Path) -> None:
    process = simulation(recorded, tmp_path)
    failing = False
    seconds = 0

    def upload() -> None:
        nonlocal seconds
        seconds += 1
        if seconds % 10:
            return
        broken = failing and seconds % 40
        for name, error in (
            ("video-upload", OSError("full") if broken else None),
            ("video-upload", ClientDisconnect()),
            ("report", None),
        ):
            with suppress(OSError, ClientDisconnect):
                attempt(recorded, name, error)

    process.run(600, upload)
    assert process.triggered == []
    failing = True
    process.run(600, upload)
    assert [name for _, name in process.triggered] == ["upload_failures"]
    failing = False
    process.run(1500, upload)
    assert [name for _, name in process.triggered] == ["upload_failures"]
    assert [name for _, name in process.resolved] == ["upload_failures"]


def test_any_other_operation_is_watched_the_same_way_and_two_failures_are_silence(
    recorded: Recording, tmp_path: Path
) -> None:
    process = simulation(recorded, tmp_path)
    process.run(60)

    def fail() -> None:
        with pytest.raises(OSError, match="full"):
            attempt(recorded, "report", OSError("full"))

    fail()
    process.run(30)
    fail()
    process.run(60)
    assert process.triggered == []
    fail()
    process.run(30)
    assert [name for _, name in process.triggered] == ["operation_failures"]
