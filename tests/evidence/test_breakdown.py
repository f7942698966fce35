"""Breakdowns of a whole engine: what the page says is what the request log says."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from otelmon.incidents.model import Acknowledge, Finding
from otelmon.paging.model import PageAction, PageReason
from otelmon.testing.clock import FakeClock
from tests.e2e.simulation import Simulation
from tests.evidence.stories import broken, now, pages, simulated

_WINDOW = 300.0


def test_the_breakdown_of_200_routes_equals_the_request_log(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    random_ = random.Random(5)
    routes = [f"/route/{number}" for number in range(200)]
    failing = dict(zip(random_.sample(routes, 5), (0.9, 0.55, 0.35, 0.2, 0.1), strict=True))
    log: list[tuple[float, str, int]] = []
    ill = False

    def second() -> None:
        for route in [*random_.sample(routes, 20), *failing]:
            wrong = (ill and random_.random() < failing.get(route, 0.0)) or random_.random() < 0.002
            status = 500 if wrong else 200
            log.append((simulation.clock.now(), route, status))
            simulation.request(route, status)

    simulation.run(660, second)
    assert simulation.triggered == []
    ill = True
    while not simulation.triggered:
        simulation.run(simulation.settings.interval_seconds, second)
    simulation.explain()

    fired_at = simulation.triggered[0][0]
    errors, earlier = _errors(log, fired_at), _errors(log, fired_at - _WINDOW)
    expected = []
    for route, count in sorted(errors.items(), key=lambda item: (-item[1], item[0]))[:5]:
        was = earlier[route] / earlier.total()
        expected.append(f"GET {route}: {_percent(count / errors.total())} of the errors, was {_percent(was)}")
    assert set(failing) >= {line.split()[1].rstrip(":") for line in expected[:3]}
    finding = _evidence(simulation)[0]
    assert finding.name == "Routes"
    assert finding.text.splitlines()[:5] == expected
    assert finding.text.splitlines()[5:] == [f"and {len(errors) - 5} more"]


def test_errors_of_one_tick_are_explained_whatever_the_fraction_of_its_second(tmp_path: Path) -> None:
    # Events are dated in whole microseconds: here the tick that pages is dated a little before its own samples.
    simulation = simulated(tmp_path, clock=FakeClock(1_767_614_400.0000004))
    simulation.run(120, lambda: simulation.request("/items", times=3))
    simulation.request("/pay", 500, times=100)
    simulation.run(15)
    simulation.explain()
    assert _evidence(simulation)[0] == Finding(name="Routes", text="GET /pay: 100 % of the errors")


def test_the_evidence_is_edited_into_the_page_and_pings_nobody(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    broken(simulation, "/pay")
    (posted,) = pages(simulation)
    assert not any("of the errors" in field.value for field in posted.message.fields)

    simulation.explain()

    edit = pages(simulation)[-1]
    assert (edit.action, edit.reason, edit.edits) == (PageAction.EDIT, PageReason.EVIDENCE, posted.id)
    assert edit.message.mentions == ()
    assert edit.message.fields[0].value == "GET /pay: 100 % of the errors"


def test_the_evidence_stays_when_the_incident_is_acknowledged(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    broken(simulation, "/pay")
    simulation.explain()
    simulation.disk.ask(Acknowledge(incident_id=pages(simulation)[0].incident_id, by="ana"), now(simulation))
    simulation.run(15)
    last = pages(simulation)[-1]
    assert last.reason is PageReason.ACKNOWLEDGED
    assert last.message.fields[0].value == "GET /pay: 100 % of the errors"


def test_a_quiet_service_is_asked_nothing(tmp_path: Path) -> None:
    simulation = simulated(tmp_path)
    simulation.run(900, lambda: simulation.request("/items", times=3))
    simulation.explain()
    assert pages(simulation) == []


def _evidence(simulation: Simulation) -> tuple[Finding, ...]:
    incident = simulation.disk.incident(pages(simulation)[0].incident_id)
    assert incident is not None
    return incident.evidence


def _errors(log: list[tuple[float, str, int]], at: float) -> Counter[str]:
    return Counter(route for when, route, status in log if at - _WINDOW < when <= at and status == 500)


def _percent(share: float) -> str:
    text = f"{100 * share:#.3g}"
    return f"{text.rstrip('0').rstrip('.')} %"
