"""A message as Alertmanager's webhooks have it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelmon.labels import Labels
from otelmon.paging.alertmanager import fingerprint, webhook_payload
from otelmon.paging.model import Message, PagedAlert
from otelmon.rules.model import Severity
from tests.alerts.build import minute

ALERT = PagedAlert(
    labels=Labels({"alertname": "error_rate", "job": "shop", "http_route": "/a"}),
    annotations={"summary": "31 % fail", "runbook": "error_rate"},
    starts_at=minute(0) + timedelta(milliseconds=507),
)
OVER = PagedAlert(
    labels=Labels({"alertname": "error_rate", "job": "shop", "http_route": "/b"}),
    annotations={"summary": "9 % fail", "runbook": "error_rate"},
    starts_at=minute(0),
    ends_at=minute(4),
)


def body(*alerts: PagedAlert, **more: object) -> dict:
    message = Message(
        severity=Severity.CRITICAL,
        title="Error rate",
        alerts=alerts,
        group=Labels({"job": "shop", "alertname": "error_rate"}),
        **more,
    )
    return webhook_payload(message, receiver="managers", at=minute(5))


def captured(name: str) -> dict:
    for folder in Path(__file__).resolve().parents:
        path = folder.parent / "shared" / "wire" / "alertmanager-to-discord" / name
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))["body"]
    pytest.skip("the captured bodies of Alertmanager are not beside this checkout")


@pytest.mark.parametrize("name", ["01-webhook-firing-webhook.json", "10-webhook-resolved-webhook.json"])
def test_the_body_has_what_alertmanagers_has_and_the_same_fingerprints(name: str) -> None:
    theirs = captured(name)
    ours = body(ALERT if theirs["status"] == "firing" else OVER)
    assert list(ours) == list(theirs)
    assert list(ours["alerts"][0]) == list(theirs["alerts"][0])
    assert {key: type(value) for key, value in ours.items()} == {key: type(value) for key, value in theirs.items()}
    assert ours["version"] == theirs["version"]
    for alert in theirs["alerts"]:
        assert fingerprint(alert["labels"]) == alert["fingerprint"]
        assert len(ours["alerts"][0]["startsAt"]) == len(alert["startsAt"])


def test_times_states_and_what_is_common() -> None:
    found = body(ALERT, OVER, left_out=3)
    firing, over = found["alerts"]
    assert (firing["status"], firing["startsAt"], firing["endsAt"]) == (
        "firing",
        "2026-03-01T12:00:00.507Z",
        "0001-01-01T00:00:00Z",
    )
    assert (over["status"], over["endsAt"]) == ("resolved", "2026-03-01T12:04:00.000Z")
    assert (found["status"], found["truncatedAlerts"]) == ("firing", 3)
    assert found["commonLabels"] == {"alertname": "error_rate", "job": "shop"}
    assert found["commonAnnotations"] == {"runbook": "error_rate"}
    assert found["groupLabels"] == {"alertname": "error_rate", "job": "shop"}
    assert found["groupKey"] == '{}:{alertname="error_rate", job="shop"}'
    assert body(OVER)["status"] == "resolved"


def test_why_a_page_comes_this_way_is_an_annotation() -> None:
    found = body(ALERT, note="Not delivered to discord: HTTP 404")
    assert found["commonAnnotations"]["otelmon_note"] == "Not delivered to discord: HTTP 404"


def test_a_message_without_alerts_is_one_of_its_own() -> None:
    found = body(description="Nothing is wrong.")
    (alert,) = found["alerts"]
    assert alert["annotations"] == {"summary": "Error rate", "description": "Nothing is wrong."}
    assert (found["status"], body(resolved=True)["status"]) == ("firing", "resolved")


TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF), max_size=4),
    st.sampled_from(['"', "\\", "\0", "\u202e", "@everyone", "x" * 10_000, "\n"]),
)


@given(labels=st.dictionaries(TEXTS, TEXTS, max_size=5), texts=st.dictionaries(TEXTS, TEXTS, max_size=3), note=TEXTS)
def test_whatever_the_labels_the_body_is_json_that_every_language_reads(
    labels: dict[str, str], texts: dict[str, str], note: str
) -> None:
    alert = PagedAlert(labels=Labels(labels), annotations=texts, starts_at=minute(0))
    message = Message(severity=Severity.INFO, title="t", alerts=(alert,), group=Labels(labels), note=note)
    found = webhook_payload(message, receiver="r", at=minute(0))
    text = json.dumps(found, allow_nan=False)
    json.dumps(found, ensure_ascii=False).encode("utf-8")  # no lone surrogate, which only Python's strings can hold
    assert json.loads(text) == found
    assert len(found["alerts"][0]["fingerprint"]) == 16
