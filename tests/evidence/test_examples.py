"""Traces and messages of the requests that failed or were slow: from an instrumented app to the page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otelmon.faults import Faults
from otelmon.instrument.attach import attach
from otelmon.instrument.exemplars import EXEMPLARS, Exemplar, Exemplars, errors_since, slowest_since
from otelmon.runtime.assemble import make_gatherer
from otelmon.runtime.examples import left, read
from otelmon.runtime.siblings import FOLDER, Siblings
from otelmon.testing import FakeClock
from tests.e2e.simulation import Simulation
from tests.evidence.stories import broken, finding, pages, simulated
from tests.instrument.driver import drive, http_scope

SECRET = "postgresql://shop:hunter2@db/shop"
TRACE_URL = "trace_url: 'https://tempo.example.com/trace/{trace_id}'\n"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    EXEMPLARS.__init__()  # type: ignore[misc]
    yield
    EXEMPLARS.__init__()  # type: ignore[misc]


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def _app(spans: InMemorySpanExporter | None) -> FastAPI:
    app = FastAPI()

    @app.get("/pay/{id}")
    async def pay(id: int) -> None:  # noqa: A002
        raise RuntimeError(f"cannot connect to {SECRET} for {id}")

    @app.get("/items")
    async def items() -> str:
        return "fine"

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.03)
        return "late"

    if spans is not None:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(spans))
        FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    return app


def _story(folder: Path, app: FastAPI, more: str = "", *, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Simulation:
    """Requests to a real app, until its page has its evidence."""
    config = folder / "otelmon.yaml"
    config.write_text(f"paging: on\nalerts: {{route_error_rate: off}}\n{more}")
    simulation = Simulation(config, sample=lambda: EXEMPLARS.turn(simulation.clock.now()))
    EXEMPLARS.keep_messages = simulation.settings.exception_messages
    attach(app, simulation.recorder, faults=Faults(), on_start=lambda: None, on_stop=lambda: None)
    simulation.run(60)
    asyncio.run(_ask(app, headers))
    simulation.run(15)
    simulation.explain()
    assert len(simulation.triggered) == 1
    return simulation


async def _ask(app: Callable[..., object], headers: tuple[tuple[bytes, bytes], ...]) -> None:
    for path in ("/pay/1", "/pay/2", "/pay/3", "/pay/4", "/slow", "/items", "/pay/5"):
        await drive(app, http_scope(path, headers=[(b"host", b"shop"), *headers]))


def test_the_page_links_the_traces_of_an_error_and_of_the_slowest_request(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    simulation = _story(tmp_path, _app(spans), TRACE_URL)
    traces = {format(span.context.trace_id, "032x"): span.name for span in spans.get_finished_spans()}
    fields = {field.name: field for field in pages(simulation)[-1].message.fields}
    for name, route in (("Trace of an error", "/pay/{id}"), ("Trace of the slowest request", "/slow")):
        said = fields[name]
        assert said.value.startswith(f"GET {route}: ")
        id_ = said.value.rpartition(", ")[2]
        assert traces[id_].startswith(f"GET {route}")
        assert said.link == f"https://tempo.example.com/trace/{id_}"
    assert fields["Routes"].value == "GET /pay/{id}: 100 % of the errors"
    assert fields["Errors"].value == "RuntimeError: 5 requests"


def test_without_an_address_the_id_is_shown(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    simulation = _story(tmp_path, _app(spans))
    (field,) = [field for field in pages(simulation)[-1].message.fields if field.name == "Trace of an error"]
    assert field.link == ""
    assert field.value.rpartition(", ")[2] in {
        format(span.context.trace_id, "032x") for span in spans.get_finished_spans()
    }


def test_without_tracing_no_trace_is_made_up(tmp_path: Path) -> None:
    simulation = _story(tmp_path, _app(None))
    assert finding(simulation, "Trace of an error") == ""
    assert finding(simulation, "Routes") != ""


@pytest.mark.parametrize(("flags", "kept"), [(b"01", True), (b"00", False)])
def test_the_callers_trace_is_taken_where_it_is_kept(tmp_path: Path, flags: bytes, kept: bool) -> None:
    header = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-" + flags
    simulation = _story(tmp_path, _app(None), headers=((b"traceparent", header),))
    assert ("4bf92f3577b34da6a3ce929d0e0e4736" in finding(simulation, "Trace of an error")) is kept


def test_messages_are_shown_when_asked_for_and_masked(tmp_path: Path) -> None:
    simulation = _story(tmp_path, _app(None), "exception_messages: true\n")
    said = finding(simulation, "Exceptions")
    assert said == "RuntimeError: cannot connect to postgresql://***@db/shop for 5"


def test_messages_stay_in_the_process_unless_asked_for(tmp_path: Path) -> None:
    simulation = _story(tmp_path, _app(None))
    assert finding(simulation, "Exceptions") == ""
    assert not any(SECRET in str(page) or "cannot connect" in str(page) for page in pages(simulation))
    assert {each.message for each in errors_since(EXEMPLARS.seen(), 0.0)} == {""}


def test_another_process_shows_what_it_saw_and_leaves_no_secret(tmp_path: Path) -> None:
    simulation = simulated(tmp_path, more="exception_messages: true")
    clock, trace = simulation.clock, "4bf92f3577b34da6a3ce929d0e0e4736"
    away = Exemplars()
    away.keep_messages = True
    with closing(_sibling(tmp_path, clock)) as here, closing(_sibling(tmp_path, clock, away)) as there:
        here.begin_term(simulation.disk)
        gatherer = make_gatherer(
            simulation.engine,
            simulation.settings,
            simulation.notes,
            examples=here.examples,
            clock=clock,
            faults=simulation.faults,
        )
        simulation.gatherer, simulation.engine.on_changes = gatherer, gatherer.notice
        broken(simulation, "/pay")
        away.turn(clock.now())
        error = RuntimeError(f"cannot connect to {SECRET}")
        away.note(Exemplar(method="GET", route="/pay", error_type="RuntimeError", seconds=0.1, trace_id=trace), error)
        there.leave()
        here.gather()
        assert SECRET not in "".join(path.read_text() for path in (tmp_path / FOLDER).glob("*.points"))
        simulation.explain()
    assert finding(simulation, "Trace of an error") == f"GET /pay: RuntimeError, {trace}"
    assert finding(simulation, "Exceptions") == "RuntimeError: cannot connect to postgresql://***@db/shop"


@pytest.mark.parametrize("plain", [[None], [[1.0]], [["", "", "", "", "", "", ""]], ["x"], [{}]])
def test_what_another_process_has_left_that_makes_no_sense_is_passed_over(plain: list[object]) -> None:
    assert list(read([*plain, *left(EXEMPLARS)])) == []


def test_what_is_old_is_forgotten_and_what_is_kept_is_bounded() -> None:
    exemplars = Exemplars()
    for number in range(1000):
        exemplars.note(_seen(f"Error{number}", seconds=number))
    assert len(errors_since(exemplars.seen(), 0.0)) == 40 + 1  # and the slowest, which failed too
    exemplars.turn(1000.0)
    assert exemplars.slowest == 0.0
    exemplars.note(_seen("", seconds=0.5))
    found = slowest_since(exemplars.seen(), 1000.0)
    assert found is not None
    assert found.seconds == 0.5
    assert errors_since(exemplars.seen(), 1000.0) == ()


def test_an_exception_that_cannot_be_said_costs_nothing_but_its_message() -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    exemplars = Exemplars()
    exemplars.keep_messages = True
    exemplars.note(_seen("Odd"), OddError())
    assert [each.message for each in exemplars.seen() if each.error_type == "Odd"] == ["", ""]


def _sibling(folder: Path, clock: FakeClock, exemplars: Exemplars = EXEMPLARS) -> Siblings:
    about = {"job": "shop", "instance": "host"}
    return Siblings(
        folder,
        about=about,
        boot="boot",
        interval_seconds=15,
        clock=clock,
        faults=Faults(),
        examples=partial(left, exemplars),
    )


def _seen(error_type: str, *, seconds: float = 0.1) -> Exemplar:
    return Exemplar(method="GET", route="/", error_type=error_type, seconds=seconds, trace_id="")
