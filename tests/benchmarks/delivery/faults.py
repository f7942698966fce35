"""The faults: each is done to a subject and says when the page came, what was lost and what came twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from otelmon.testing import Answer, Drip, Drop, Hang, Limited
from tests.benchmarks.delivery.subject import Subject, pages, resolves, until, watch

# How long a page is waited for, from the fault on, and how long a second one after it.
WAIT_SECONDS = 170.0
_AFTER_SECONDS = 12.0
_TROUBLE_SECONDS = 90.0
_RETRY_AFTER = 5.0
_ERROR = Answer(status=500, body='{"message": "500: Internal Server Error", "code": 0}')
# So slow that the sender is killed within the answer to a message that was taken.
_DRIPPING = Drip(seconds=0.5, headers=True)
# As long as no later message of a subject that re-sends each minute could be missed.
_RESENT_SECONDS = 75.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """``after`` are seconds, None where nothing came; ``since`` is what they are counted from."""

    after: float | None
    since: str
    lost: int = 0
    duplicates: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault by the name that the table gives it.

    ``within`` bounds the seconds in which otelmon has to deliver, where the fault says when; ``unknowable`` are the
    duplicates that it causes, because nobody could know that the message had arrived.
    """

    name: str
    run: Callable[[Subject], Result]
    within: tuple[float, float] | None = None
    unknowable: int = 0


def limited(subject: Subject) -> Result:
    subject.discord.fail(Limited(retry_after=_RETRY_AFTER))
    subject.fire()
    begun = _refused_at(subject)
    return _delivered(subject, begun, "the 429")


def failing(subject: Subject) -> Result:
    subject.discord.fail_always(_ERROR)
    subject.fire()
    watch(_TROUBLE_SECONDS)
    subject.discord.fail_always(None)
    return _delivered(subject, time.time(), "the end")


def hanging(subject: Subject) -> Result:
    subject.discord.fail(Hang())
    subject.fire()
    begun = _refused_at(subject)
    return _delivered(subject, begun, "the hanging request")


def refused(subject: Subject) -> Result:
    subject.discord.refuse()
    subject.fire()
    watch(_TROUBLE_SECONDS)
    subject.discord.accept()
    return _delivered(subject, time.time(), "the end")


def answer_lost(subject: Subject) -> Result:
    subject.discord.fail(Drop(accepted=True))
    subject.fire()
    return _delivered(subject, time.time(), "the fault", after_seconds=_RESENT_SECONDS)


def killed_before(subject: Subject) -> Result:
    subject.discord.refuse()
    subject.fire()
    begun = time.time()
    subject.wait_decided()
    subject.kill()
    subject.discord.accept()
    subject.start()
    return _delivered(subject, begun, "the fault")


def killed_during(subject: Subject) -> Result:
    subject.discord.fail(_DRIPPING)
    subject.fire()
    begun = time.time()
    assert until(lambda: bool(pages(subject.discord)), WAIT_SECONDS)
    subject.kill()
    subject.start()
    # Whether the message arrived nobody knows; its lease ends after half a minute.
    return _delivered(subject, begun, "the fault", after_seconds=_RESENT_SECONDS)


def killed_after(subject: Subject) -> Result:
    subject.fire()
    begun = time.time()
    subject.wait_recorded()
    subject.kill()
    subject.start()
    return _delivered(subject, begun, "the fault", after_seconds=_RESENT_SECONDS)


def resolved_while_down(subject: Subject) -> Result:
    subject.fire()
    subject.wait_recorded()
    subject.kill()
    subject.end()
    subject.start()
    begun = time.time()
    came = until(lambda: bool(resolves(subject.discord)), WAIT_SECONDS - 40)
    watch(_AFTER_SECONDS)
    found = resolves(subject.discord)
    after = found[0].posted_at - begun if came else None
    repeated = max(0, len(found) - 1) + max(0, len(pages(subject.discord)) - 1)
    return Result(after=after, since="the restart", lost=0 if came else 1, duplicates=repeated)


def silenced_and_killed(subject: Subject) -> Result:
    subject.silence()
    subject.kill()
    subject.start()
    subject.fire()
    assert until(subject.sees_the_fault, 30.0)
    watch(_RESENT_SECONDS)
    # The silence is what may be lost here: a page says that it was.
    return Result(after=None, since="never", lost=min(1, len(pages(subject.discord))))


FAULTS = (
    Fault(name="429 with Retry-After 5, once", run=limited, within=(5.0, 7.0)),
    Fault(name="500 for 90 s", run=failing),
    Fault(name="hangs, once", run=hanging, within=(10.0, 20.0)),
    Fault(name="refused for 90 s", run=refused),
    Fault(name="answer lost, once", run=answer_lost, unknowable=1),
    Fault(name="kill -9 before the send", run=killed_before),
    Fault(name="kill -9 during the send", run=killed_during, unknowable=1),
    Fault(name="kill -9 after the send", run=killed_after),
    Fault(name="kill -9, resolved while down", run=resolved_while_down),
    Fault(name="silence added, kill -9", run=silenced_and_killed),
)


def _refused_at(subject: Subject) -> float:
    """When the first request was read."""
    assert until(lambda: bool(subject.discord.requests), WAIT_SECONDS)
    return subject.discord.requests[0].at


def _delivered(subject: Subject, begun: float, since: str, *, after_seconds: float = _AFTER_SECONDS) -> Result:
    """What came, and what came after that."""
    came = until(lambda: bool(pages(subject.discord)), WAIT_SECONDS - (time.time() - begun))
    if not came:
        return Result(after=None, since=since, lost=1)
    watch(after_seconds)
    found = pages(subject.discord)
    return Result(after=found[0].posted_at - begun, since=since, duplicates=len(found) - 1)
