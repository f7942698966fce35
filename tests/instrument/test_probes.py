"""Probes of real endpoints: one that answers wrongly, hangs, is gone or shows an old certificate pages once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import otelmon
from otelmon.instrument.background import Background, Job, Ran
from otelmon.instrument.probe_targets import _context, ask
from otelmon.instrument.probes import Answer, HttpTarget, ProbeSettings, Rhythm, TcpTarget, Verdict
from otelmon.instrument.sources import SOURCES, Sources
from otelmon.testing.clock import FakeClock
from tests.instrument.endpoint import Endpoint, make_certificate, served
from tests.instrument.recording import asking, recording, simulation

UP = "otelmon.probe.up"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with served() as found:
        yield found


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Lets probes trust the authority in a file, as the operator of a private one would."""

    def trust(path: Path) -> None:
        _context.cache_clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(path))

    yield trust
    _context.cache_clear()


def http(endpoint: Endpoint, timeout: float = 5.0, **target: object) -> ProbeSettings:
    rhythm = Rhythm(interval_seconds=15.0, timeout_seconds=timeout)
    return ProbeSettings(name="shop", target=HttpTarget(url=endpoint.url, **target), rhythm=rhythm)  # type: ignore[arg-type]


# What is asked, and what counts as well


def test_an_endpoint_is_well_when_status_body_and_json_are_as_expected(endpoint: Endpoint) -> None:
    def problem(**target: object) -> str:
        return ask(http(endpoint, **target).target, 5.0).problem

    assert problem() == ""
    assert problem(json={"status": "ok"}) == ""
    assert problem(body='"version": 7') == ""
    assert problem(json={"status": "down"}) == "another JSON"
    assert problem(json={"status": {"deep": "ok"}}) == "another JSON"
    assert problem(body="pong") == "another body"
    assert problem(statuses=(204,)) == "status 200"
    assert problem(latency_limit_seconds=1e-9) == "too slow"
    endpoint.body = b"hello"
    assert problem(json={"status": "ok"}) == "no JSON"
    endpoint.status = 503
    assert problem(json={"status": "ok"}) == "status 503"
    assert problem(statuses=(200, 503)) == ""


def test_a_probe_asks_by_the_method_and_with_the_headers_that_it_has(endpoint: Endpoint) -> None:
    ask(http(endpoint, method="POST", headers={"X-Token": "t0p"}).target, 5.0)
    ((method, path, headers),) = endpoint.asked
    assert (method, path, headers["X-Token"]) == ("POST", "/health", "t0p")
    assert "t0p" not in repr(http(endpoint, headers={"X-Token": "t0p"}))
    assert endpoint.url not in repr(http(endpoint))


def test_a_port_that_nobody_listens_on_is_told_from_one_that_answers(endpoint: Endpoint) -> None:
    port = int(endpoint.url.split(":")[2].split("/")[0])
    assert ask(TcpTarget(host="127.0.0.1", port=port), 5.0) == Answer()
    with pytest.raises(ConnectionRefusedError):
        ask(TcpTarget(host="127.0.0.1", port=1), 5.0)
    assert ask(HttpTarget(url="http://127.0.0.1:1/"), 5.0).problem == "connection refused"
    assert ask(HttpTarget(url="http://nowhere.invalid/"), 5.0).problem == "the name is not known"


def test_three_failures_are_down_two_successes_are_up_and_the_first_success_is_enough() -> None:
    def ups(answers: str) -> list[bool | None]:
        verdict = Verdict(Rhythm())
        found = []
        for each in answers:
            verdict.take(success=each == "+")
            found.append(verdict.up)
        return found

    assert ups("+") == [True]
    assert ups("---") == [None, None, False]
    assert ups("+--+--+") == [True] * 7
    assert ups("+---") == [True, True, True, False]
    assert ups("---+-+-++") == [None, None, False, False, False, False, False, False, True]


# The whole path: each fault pages once and resolves once


def page_once(endpoint: Endpoint, folder: Path, break_it: Callable[[], None], mend: Callable[[], None]) -> str:
    """Let it work, break it, mend it; the text of the one page."""
    with recording(Sources(), probes=[http(endpoint, 0.3, json={"status": "ok"})]) as recorded:
        process = simulation(recorded, folder)
        second = asking(recorded, process)
        process.run(120, second)
        assert process.triggered == []
        assert recorded.value(UP, otelmon__probe__name="shop") == 1
        broken_at = process.clock.now()
        break_it()
        process.run(120, second)
        ((at, name),) = process.triggered
        assert name == "health_check"
        assert 30 <= at - broken_at <= 60
        ((_, page), *_more) = process.paged_at
        mend()
        process.run(300, second)
        assert len(process.triggered) == 1
        assert [name for _, name in process.resolved] == ["health_check"]
        assert not recorded.faults.counts
        return str(page)


def test_an_endpoint_that_answers_500_pages_once(endpoint: Endpoint, tmp_path: Path) -> None:
    def answer(status: int) -> Callable[[], None]:
        return lambda: setattr(endpoint, "status", status)

    page = page_once(endpoint, tmp_path, answer(500), answer(200))
    assert "status 500" in page
    assert endpoint.url not in page


def test_an_endpoint_that_hangs_pages_once(endpoint: Endpoint, tmp_path: Path) -> None:
    page = page_once(endpoint, tmp_path, endpoint.may_answer.clear, endpoint.may_answer.set)
    assert "no answer in time" in page


def test_a_single_failure_pages_nobody(endpoint: Endpoint, tmp_path: Path) -> None:
    with recording(Sources(), probes=[http(endpoint)]) as recorded:
        process = simulation(recorded, tmp_path)
        second = asking(recorded, process)
        process.run(60, second)
        for _ in range(5):
            endpoint.status = 500
            process.run(30, second)
            endpoint.status = 200
            process.run(45, second)
        assert process.triggered == []


def test_a_certificate_that_has_expired_pages_once_and_one_that_ends_soon_warns(
    tmp_path: Path, trusted: Callable[[Path], None]
) -> None:
    old = make_certificate(tmp_path / "old.pem", days=-1)
    trusted(old)
    with served(old) as endpoint, recording(Sources(), probes=[http(endpoint)]) as recorded:
        process = simulation(recorded, tmp_path)
        process.run(300, asking(recorded, process))
        assert [name for _, name in process.triggered] == ["health_check"]
        assert "certificate has expired" in str(process.paged_at[0][1])
    soon = make_certificate(tmp_path / "soon.pem", days=5)
    trusted(soon)
    with served(soon) as endpoint, recording(Sources(), probes=[http(endpoint)]) as recorded:
        process = simulation(recorded, tmp_path)
        process.run(300, asking(recorded, process))
        assert [name for _, name in process.triggered] == ["certificate_expiry"]
        assert "5.0 days" in str(process.paged_at[0][1])
    fresh = make_certificate(tmp_path / "fresh.pem", days=80)
    trusted(fresh)
    with served(fresh) as endpoint, recording(Sources(), probes=[http(endpoint)]) as recorded:
        process = simulation(recorded, tmp_path)
        process.run(300, asking(recorded, process))
        assert process.triggered == []


def test_a_probe_with_a_bound_for_its_certificate_fails_before_that_ends(
    tmp_path: Path, trusted: Callable[[Path], None]
) -> None:
    soon = make_certificate(tmp_path / "soon.pem", days=5)
    trusted(soon)
    with served(soon) as endpoint:
        assert ask(http(endpoint, certificate_seconds=6 * 86_400.0).target, 5.0).problem == "its certificate ends soon"
        assert ask(http(endpoint, certificate_seconds=4 * 86_400.0).target, 5.0).problem == ""
        endpoint.status = 503  # what is worse is said
        assert ask(http(endpoint, certificate_seconds=6 * 86_400.0).target, 5.0).problem == "status 503"


# Functions, and what runs them


def test_a_function_of_either_kind_is_a_probe_and_its_exception_stays_here(tmp_path: Path) -> None:
    sources = Sources()
    failing = False

    def licence() -> None:
        if failing:
            raise LookupError("secret")

    async def stock() -> bool:
        await asyncio.sleep(0)
        return not failing

    sources.probes.declare("licence", licence, Rhythm())
    with recording(sources) as recorded:
        sources.probes.declare("stock", stock, Rhythm())
        process = simulation(recorded, tmp_path)
        process.run(60, asking(recorded, process))
        assert [recorded.value(UP, otelmon__probe__name=name) for name in ("licence", "stock")] == [1, 1]
        failing = True
        process.run(60, asking(recorded, process))
        assert [recorded.value(UP, otelmon__probe__name=name) for name in ("licence", "stock")] == [0, 0]
        problems = {point.attributes["otelmon.probe.problem"] for point in recorded.points("otelmon.probe.failure")}
        assert problems == {"LookupError", "returned False"}
        assert [name for _, name in process.triggered] == ["health_check"]


def test_a_decorated_function_is_still_the_function() -> None:
    def licence() -> None: ...

    try:
        assert otelmon.probe("licence", interval="1m", timeout=2)(licence) is licence
    finally:
        SOURCES.probes._declared.clear()


def test_a_job_that_hangs_fails_once_an_interval_holds_one_thread_and_delays_no_other() -> None:
    clock, background = FakeClock(), Background()
    release = threading.Event()
    hung: list[Ran[bool]] = []
    quick: list[Ran[int]] = []
    slow: Job[bool] = Job(
        name="slow", run=lambda: release.wait(60), done=hung.append, interval_seconds=15, timeout_seconds=5
    )
    background.add(slow)
    other = Job(name="quick", run=lambda: 1, done=quick.append, interval_seconds=15, timeout_seconds=5)
    background.add(other)
    for _ in range(60):
        background.run_due(clock.monotonic())
        assert other.current is not None
        other.current.thread.join(30)  # the clock stands still while it runs
        clock.advance(1)
    assert [type(ran.error) for ran in hung] == [TimeoutError] * 4
    assert slow.current is not None
    thread = slow.current.thread
    release.set()
    thread.join(30)
    background.run_due(clock.monotonic())
    background.wait(30)
    assert len(hung) == 5  # the late end of the run that hung is not told again
    assert hung[-1].value is True
    assert [ran.value for ran in quick] == [1] * 5
