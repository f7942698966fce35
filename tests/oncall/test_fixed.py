"""The same people on call always."""

from __future__ import annotations

from otelmon.oncall.fixed import FixedOnCall
from otelmon.oncall.model import Mention, MentionKind, OnCall
from otelmon.rules.model import Severity
from tests.alerts.build import minute

ROLE = Mention(kind=MentionKind.ROLE, id="123456789012345678")


def test_a_severity_mentions_whom_it_lists_at_any_time_and_the_others_nobody() -> None:
    on_call: OnCall = FixedOnCall(mentions={Severity.CRITICAL: (ROLE,)})
    assert on_call.who(Severity.CRITICAL, minute(0)) == (ROLE,)
    assert on_call.who(Severity.CRITICAL, minute(600)) == (ROLE,)
    assert on_call.who(Severity.WARNING, minute(0)) == ()
    assert FixedOnCall().who(Severity.CRITICAL, minute(0)) == ()


def test_a_mention_is_read_as_what_it_pings_and_its_id() -> None:
    assert [str(ROLE), str(Mention(kind=MentionKind.USER, id="7"))] == ["role 123456789012345678", "user 7"]
