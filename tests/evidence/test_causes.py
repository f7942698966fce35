"""The first line of each built-in rule's breakdown names what is at fault."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from otelmon.incidents.model import Finding
from otelmon.labels import METRIC_NAME, Labels
from otelmon.paging.model import Field, PageAction, PageReason
from otelmon.runtime.evidence import Gatherer, Question
from otelmon.sample import Sample
from otelmon.storage.sqlite import SqliteStorage
from tests.e2e.simulation import Simulation
from tests.evidence.stories import broken, finding, pages, simulated


def test_the_slow_route_is_named_and_not_the_busy_one(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)

    def well() -> None:
        simulation.request("/report", seconds=0.8, times=5)
        simulation.request("/pay", seconds=0.05)

    def ill() -> None:
        simulation.request("/report", seconds=0.8, times=5)
        simulation.request("/pay", seconds=3.0)

    simulation.run(660, well)
    while not simulation.triggered:
        simulation.run(15, ill)
    simulation.explain()
    routes, p95 = _fields(simulation)[:2]
    assert (routes.name, routes.value) == ("Routes", "GET /pay: 100 % of the slow time")
    assert p95.name == "p95"
    assert p95.value.startswith("GET /pay: ")
    assert p95.value.endswith(" s")
    assert "/report" not in p95.value


def test_the_fullest_mount_is_named_with_its_pace_and_the_time_left(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    began = simulation.clock.now()

    def measured() -> Iterable[Sample]:
        # A tenth of it an hour, from 84 % on.
        yield from _disk(simulation, "/data", "/dev/sdb", 0.84 + (simulation.clock.now() - began) / 36_000)
        yield from _disk(simulation, "/", "/dev/sda", 0.40)

    _measure(simulation, measured, 1500)
    simulation.explain()
    values = {field.name: field.value for field in _fields(simulation)}
    assert values["Fullest mounts"].startswith("/data: 85.")
    assert values["Fullest mounts"].splitlines()[1] == "/: 40 %"
    assert values["Full at this pace in"].startswith("1 h ")
    assert values["Fills by"] == "10 percent an hour"


def test_of_a_pool_it_is_said_who_holds_and_who_waits(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)

    def measured() -> Iterable[Sample]:
        pool = {"db_client_connection_pool_name": "orders"}
        yield _sample(simulation, "db_client_connection_max", 10, **pool)
        yield _sample(simulation, "db_client_connection_count", 10, db_client_connection_state="used", **pool)
        yield _sample(simulation, "db_client_connection_count", 0, db_client_connection_state="idle", **pool)
        yield _sample(simulation, "db_client_connection_pending_requests", 7, **pool)
        other = {"db_client_connection_pool_name": "reports"}
        yield _sample(simulation, "db_client_connection_max", 10, **other)
        yield _sample(simulation, "db_client_connection_count", 2, db_client_connection_state="used", **other)

    _measure(simulation, measured, 200)
    simulation.explain()
    pools, connections = _fields(simulation)[:2]
    assert pools == Field(name="Pools", value="orders: 170 %\nreports: 20 %", inline=False)
    assert connections == Field(
        name="Connections",
        value="used: 10 connections\nwaited for: 7 connections\nidle: 0 connections",
        inline=False,
    )


def test_of_an_operation_it_is_said_by_what_it_fails(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    failed = {"Timeout": 0.0, "ValueError": 0.0, "": 0.0}

    def measured() -> Iterable[Sample]:
        for kind, more in (("Timeout", 3), ("ValueError", 1), ("", 4)):
            failed[kind] += more
            labels = {"otelmon_operation_name": "video-upload", "otelmon_operation_outcome": "failure"}
            labels |= {"error_type": kind} if kind else {"otelmon_operation_outcome": "success"}
            yield _sample(simulation, "otelmon_operation_duration_seconds_count", failed[kind], **labels)

    _measure(simulation, measured, 120)
    simulation.explain()
    operations, errors = _fields(simulation)[:2]
    assert (operations.name, operations.value) == ("Operations", "video-upload: 4 failures")
    assert errors.value == "Timeout: 3 failures\nValueError: 1 failures"


def test_what_does_not_answer_is_named_and_by_what_it_fails(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)

    def measured() -> Iterable[Sample]:
        yield _sample(simulation, "otelmon_probe_up", 0, otelmon_probe_name="payments")
        yield _sample(simulation, "otelmon_probe_up", 1, otelmon_probe_name="shop")
        why = {"otelmon_probe_name": "payments", "otelmon_probe_problem": "status 503"}
        yield _sample(simulation, "otelmon_probe_failure", 1, **why)

    _measure(simulation, measured, 60)
    simulation.explain()
    probes = _fields(simulation)[0]
    assert (probes.name, probes.value) == ("Probes that fail", "payments status 503")


def test_an_escalation_asks_anew_and_says_it_in_its_message(tmp_path: Path) -> None:
    escalation = (
        "people: {ana: {discord: 112233445566778899}, bo: {discord: 223344556677889900}}\n"
        "escalation: {default: {steps: [{notify: [person: ana]}, {wait: 5m, notify: [person: bo]}]}}"
    )
    simulation = simulated(tmp_path, more=escalation)
    broken(simulation, "/pay")
    simulation.explain()

    def other() -> None:
        simulation.request("/items", times=3)
        simulation.request("/cart", 500, times=2)

    simulation.run(330, other)
    simulation.explain()
    asked = [page for page in pages(simulation) if page.reason is PageReason.ESCALATED]
    assert len(asked) >= 1
    last = pages(simulation)[-1]
    assert (last.action, last.reason) == (PageAction.EDIT, PageReason.EVIDENCE)
    assert last.message.fields[0].value.startswith("GET /cart: ")


def test_a_rule_of_ones_own_has_a_breakdown_too(tmp_path: Path) -> None:
    own = 'jobs: {expr: sum(jobs) > 5, breakdown: "# Kinds: jobs\\nsum by (kind) (jobs)"}'
    simulation = simulated(tmp_path, own)
    _measure(simulation, lambda: [_sample(simulation, "jobs", n, kind=f"k{n}") for n in range(9)], 30)
    simulation.explain()
    kinds = next(field for field in _fields(simulation) if field.name == "Kinds")
    assert kinds.value == "k8: 8 jobs\nk7: 7 jobs\nk6: 6 jobs\nk5: 5 jobs\nk4: 4 jobs\nand 4 more"


def test_a_restart_keeps_the_evidence(tmp_path: Path) -> None:
    disk = SqliteStorage(tmp_path / "state.db")
    simulation = simulated(tmp_path, disk=disk)
    broken(simulation, "/pay")
    simulation.explain()
    before = simulation.engine.known_incidents[0].evidence
    assert before
    disk.close()
    again = simulated(tmp_path, disk=SqliteStorage(tmp_path / "state.db"), clock=simulation.clock)
    assert again.engine.known_incidents[0].evidence == before


def test_a_restart_in_between_loses_the_evidence_and_not_the_page(tmp_path: Path) -> None:
    disk = SqliteStorage(tmp_path / "state.db")
    simulation = simulated(tmp_path, disk=disk)
    broken(simulation, "/pay")
    simulation.gatherer.gather()  # found, and not yet taken
    disk.close()
    again = simulated(tmp_path, disk=SqliteStorage(tmp_path / "state.db"), clock=simulation.clock)
    again.run(60, lambda: again.request("/pay", 500))
    assert [page.reason for page in pages(again)] == []
    assert again.engine.known_incidents[0].evidence == ()


def test_evidence_of_an_incident_that_is_over_is_passed_over(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    broken(simulation, "/pay")
    simulation.run(900, lambda: simulation.request("/items", times=3))
    assert len(simulation.resolved) == 1
    simulation.explain()
    assert PageReason.EVIDENCE not in {page.reason for page in pages(simulation)}


def test_a_source_that_hangs_or_raises_holds_up_neither_ticks_nor_pages(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    release, asked = threading.Event(), threading.Event()

    class Hangs:
        def begin(self, question: Question) -> None:
            raise ValueError(question.alert.name)

        def findings(self, question: Question) -> Iterable[Finding]:
            asked.set()
            release.wait(20)
            return [Finding(name="late", text=question.alert.name)]

    gatherer = Gatherer(simulation.engine, [Hangs()], clock=simulation.clock, faults=simulation.faults)
    simulation.engine.on_changes = gatherer.notice
    broken(simulation, "/pay")
    thread = threading.Thread(target=gatherer.gather, daemon=True)
    thread.start()
    assert asked.wait(10)
    simulation.run(120, lambda: simulation.request("/pay", 500))  # the engine is not held meanwhile
    assert [page.reason for page in pages(simulation)] == [PageReason.TRIGGERED]
    release.set()
    thread.join(10)
    simulation.explain()
    assert finding(simulation, "late") == "error_rate"


def _fields(simulation: Simulation) -> tuple[Field, ...]:
    return pages(simulation)[-1].message.fields


def _sample(simulation: Simulation, name: str, value: float, **labels: str) -> Sample:
    whole = Labels({METRIC_NAME: name, "job": "shop", "instance": "host", **labels})
    return Sample(labels=whole, at=simulation.clock.now() - 0.001, value=float(value))


def _disk(simulation: Simulation, mount: str, device: str, used: float) -> list[Sample]:
    labels = {"system_device": device, "system_filesystem_mountpoint": mount, "system_filesystem_state": "used"}
    return [_sample(simulation, "system_filesystem_utilization_ratio", used, **labels)]


def _measure(simulation: Simulation, measured, seconds: float) -> None:  # type: ignore[no-untyped-def]
    """Let time pass with samples that something else than the recorder took, at each tick."""
    interval = simulation.settings.interval_seconds
    simulation.engine.sample_host = lambda: simulation.window.append(measured())
    simulation.run(seconds + interval)
