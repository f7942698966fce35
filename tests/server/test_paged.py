"""What clients are told of what the server has paged: the alerts of their own tenant's, and nothing of another's."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from otelmon.faults import Faults
from otelmon.incidents.model import Incident, IncidentState
from otelmon.server.paged import paged_names, told
from otelmon.server.receiver import Receiver
from tests.alerts.build import minute
from tests.incidents.test_muting import of
from tests.server.clients import SETTINGS

A, B = "token-of-team-a!", "token-of-team-b!"


def incident(name: str, **labels: str) -> Incident:
    about = of(name, **labels)
    return Incident(
        id=name, state=IncidentState.TRIGGERED, alerts=(about,), triggered_at=minute(0), told=frozenset({about.labels})
    )


PAGED = (
    incident("of_a", job="shop", tenant="a"),
    incident("of_b", job="shop", tenant="b"),
    incident("of_no_job_of_a", job="", tenant="a"),
    incident("of_the_server", job="otelmon"),
    incident("of_nobody", job=""),
)


@pytest.mark.parametrize(("tenant", "expected"), [("a", ["of_a", "of_no_job_of_a"]), ("b", ["of_b"]), ("c", [])])
def test_a_tenant_is_told_of_its_own(tenant: str, expected: list[str]) -> None:
    assert paged_names(PAGED, "shop", tenant=tenant) == expected


def test_without_tokens_a_label_tenant_hides_nothing() -> None:
    assert paged_names(PAGED, "shop") == ["of_a", "of_b", "of_no_job_of_a", "of_nobody"]


def test_whose_token_asks_decides() -> None:
    def incidents() -> Iterable[Incident]:
        return PAGED

    settings = replace(SETTINGS, tokens={A: "a", B: "b"})
    receiver = Receiver(settings, {}, faults=Faults(), told=told(incidents, lambda: ""))
    receiver.start()
    try:
        for token, expected in ((A, ["of_a", "of_no_job_of_a"]), (B, ["of_b"]), ("", None), ("another", None)):
            connection = http.client.HTTPConnection("127.0.0.1", receiver.http_port or 0, timeout=60)
            # A tenant that is asked for by name is not heard.
            headers = {"Authorization": f"Bearer {token}"}
            connection.request("GET", "/otelmon/paged?job=shop&tenant=b", headers=headers)
            answer = connection.getresponse()
            assert answer.status == (401 if expected is None else 200)
            assert expected is None or json.loads(answer.read()) == {"paged": expected}
            connection.close()
    finally:
        receiver.stop(5.0)
