"""Diagnostics of the application's own: what they say is in the page, and what they do changes nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import otelmon
from otelmon.instrument.diagnostics import Diagnostic, Diagnostics
from otelmon.instrument.processes import largest_processes
from otelmon.instrument.sources import SOURCES
from otelmon.paging.discord import payload
from otelmon.testing.discord_rules import check
from tests.e2e.simulation import Simulation
from tests.evidence.stories import broken, finding, pages, simulated


@pytest.fixture(autouse=True)
def _none_before() -> Iterator[None]:
    SOURCES.diagnostics, kept = Diagnostics(), SOURCES.diagnostics
    yield
    SOURCES.diagnostics = kept


def _said(call: Callable[[], Any], seconds: float = 1.0) -> str:
    return Diagnostic("x", call).begin().said(seconds).text


async def _queries() -> list[str]:
    await asyncio.sleep(0)
    return ["SELECT 1", "UPDATE carts"]


def _fails() -> str:
    raise ValueError("password=hunter2")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: "12 connections idle in transaction", "12 connections idle in transaction"),
        (lambda: {"idle": 3, "active": 7}, "idle: 3\nactive: 7"),
        (_queries, "SELECT 1\nUPDATE carts"),
        (lambda: 42, "42"),
        (lambda: b"bytes", "bytes"),
        (lambda: None, "nothing to say"),
        (lambda: "  ", "nothing to say"),
        (_fails, "failed: ValueError"),
    ],
)
def test_what_a_diagnostic_returns_is_said(call: Callable[[], Any], text: str) -> None:
    assert _said(call) == text


@pytest.mark.parametrize(
    "call",
    [
        lambda: "x" * 10_000_000,
        lambda: "x\n" * 5_000_000,
        lambda: ["x" * 1_000_000] * 10,
        lambda: (str(number) for number in count()),
        lambda: dict.fromkeys(range(10000), "x" * 1000),
        lambda: b"x" * 10_000_000,
    ],
)
def test_what_is_too_long_is_cut(call: Callable[[], Any]) -> None:
    said = _said(call)
    assert 2 <= len(said) <= 900
    assert said.endswith("…")


def test_one_that_hangs_is_not_waited_for_and_not_begun_again() -> None:
    release, began = threading.Event(), []

    def hangs() -> str:
        began.append(1)
        release.wait(10)
        return "late"

    diagnostic = Diagnostic("x", hangs)
    assert diagnostic.begin().said(0.01).text == "gave no answer in time"
    assert diagnostic.begin().said(0.01).text == "still runs since an earlier page"
    assert began == [1]
    release.set()
    while diagnostic.begin().said(1.0).text != "late":
        pass


def test_one_that_ends_its_interpreter_ends_only_its_own_thread() -> None:
    def leaves() -> None:
        raise SystemExit(3)

    assert _said(leaves) == "failed: SystemExit"


def test_diagnostics_that_misbehave_change_nothing_but_their_own_field(tmp_path: Path) -> None:
    release = threading.Event()
    quiet = _paged(tmp_path / "quiet")

    @otelmon.diagnostic("error_rate")
    def hangs() -> None:
        release.wait(20)

    @otelmon.diagnostic("error_rate", name="Raises")
    def raises() -> None:
        raise RuntimeError

    @otelmon.diagnostic("error_rate", name="Prints")
    async def prints() -> str:
        return "@everyone **x** " * 600_000

    @otelmon.diagnostic("disk_usage")
    def of_another_alert() -> str:
        raise AssertionError("asked")

    loud = _paged(tmp_path / "loud")
    release.set()
    assert finding(loud, "hangs") == "gave no answer in time"
    assert finding(loud, "Raises") == "failed: RuntimeError"
    assert finding(loud, "Prints").startswith("@everyone **x**")
    last = pages(loud)[-1].message
    check(payload(last))
    own = {"hangs", "Raises", "Prints"}
    assert [field for field in last.fields if field.name not in own] == list(pages(quiet)[-1].message.fields)
    assert [page.id for page in pages(loud)] == [page.id for page in pages(quiet)]


def test_they_run_outside_of_the_tick(tmp_path: Path) -> None:
    ran: list[str] = []
    otelmon.diagnostic("error_rate")(lambda: ran.append(threading.current_thread().name))
    simulation = simulated(tmp_path)
    broken(simulation, "/pay")
    assert ran == []
    assert [page.reason.name for page in pages(simulation)] == ["TRIGGERED"]
    simulation.explain()
    assert ran == ["otelmon-diagnostic"]


def test_the_same_name_again_takes_the_earlier_ones_place() -> None:
    diagnostics = Diagnostics()
    diagnostics.add("a", lambda: "old", "x")
    diagnostics.add("a", lambda: "new", "x")
    assert [each.begin().said(1.0).text for each in diagnostics.of("a")] == ["new"]
    assert diagnostics.of("b") == ()


def test_memory_is_explained_by_the_largest_processes() -> None:
    sizes = [float(line.split(": ")[1].removesuffix(" MiB")) for line in largest_processes()]
    assert 1 <= len(sizes) <= 5
    assert sizes == sorted(sizes, reverse=True)


def _paged(folder: Path) -> Simulation:
    folder.mkdir()
    simulation = simulated(folder)
    broken(simulation, "/pay")
    simulation.explain()
    return simulation
