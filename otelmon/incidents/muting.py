"""Which of the alerts that fire page nobody, and why: silences first, then inhibition among what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from otelmon.alerts.model import Alert
from otelmon.incidents.inhibit import Inhibition, Inhibitor
from otelmon.incidents.settle import Mute
from otelmon.incidents.silence import Silence, SilenceNotice, meets, notice_due
from otelmon.labels import Labels


def mutes(
    firing: Iterable[Alert],
    silences: Sequence[Silence],
    inhibitions: Sequence[Inhibition],
    *,
    told: Callable[[Labels], bool],
    incident_of: Callable[[Labels], str],
) -> dict[Labels, Mute]:
    """The mutes of the alerts that page nobody.

    ``silences`` are those that are active; ``told`` says whether an alert was paged before, ``incident_of`` of which
    incident it is.
    """
    found: dict[Labels, Mute] = {}
    audible: list[Alert] = []
    for alert in firing:
        silence = next((each for each in silences if meets(alert.labels, each.matchers)), None)
        if silence is None:
            audible.append(alert)
        else:
            found[alert.labels] = Mute(reason=_silenced(silence), silenced=True)
    inhibitor = Inhibitor(inhibitions, audible, told)
    for alert in audible:
        source = inhibitor.muted_by(alert)
        if source is not None:
            reason = f"it follows from {source.name} ({incident_of(source.labels)})"
            found[alert.labels] = Mute(reason=reason, silenced=False)
    return found


def ending(
    silences: Iterable[Silence], firing: Sequence[Alert], notice: timedelta, at: datetime
) -> tuple[SilenceNotice, ...]:
    """The silences that end soon (see ``notice_due``) while they hide something, noted as announced."""
    found = []
    for silence in silences:
        if notice_due(silence, at, notice):
            hidden = tuple(alert for alert in firing if meets(alert.labels, silence.matchers))
            if hidden:
                found.append(SilenceNotice(silence=replace(silence, noticed_at=at), hidden=hidden))
    return tuple(found)


def _silenced(silence: Silence) -> str:
    until = "until it is resolved" if silence.ends_at is None else f"until {silence.ends_at:%Y-%m-%d %H:%M} UTC"
    return f"silenced by {silence.author} {until} ({silence.id})" + (f": {silence.comment}" if silence.comment else "")
