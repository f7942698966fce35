"""Links to the page where an incident is acknowledged: signed, for one incident, one round of it, and a time.

Whoever has the link may acknowledge that incident, so it goes to the channel where pages go and nowhere else.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from itsdangerous import BadSignature, Signer
from pydantic import SecretStr

from otelmon.incidents.model import Incident, IncidentState
from otelmon.server.mount import ACKNOWLEDGE_PATH

LIFETIME = timedelta(days=3)
"""How long a link is good for: over a weekend. Each reminder and each edit of the page brings a new one."""

_PURPOSE = b"otelmon.acknowledge"
_LONGEST_TOKEN = 200
_CLAIM = re.compile(r"([0-9A-Za-z]+)-([0-9]+)-([0-9]+)")


class Verdict(StrEnum):
    """What a link is worth, in the words that the page says."""

    VALID = "the incident waits for somebody to take it"
    FORGED = "otelmon did not make this link, or it was cut on its way"
    EXPIRED = "this link is too old"
    UNKNOWN = "the incident is not kept any more"
    OUTDATED = "the incident was triggered again after the message that this link is from"
    ACKNOWLEDGED = "the incident is acknowledged already"
    RESOLVED = "the incident is resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a genuine link says. ``rounds`` is how often the incident had been triggered when the link was made."""

    incident_id: str
    rounds: int
    expires_at: datetime


class Links:
    """Makes and reads the links; two with the same secret read each other's."""

    def __init__(self, secret: SecretStr, public_url: str) -> None:
        """``public_url`` is where people reach the app, without a slash at its end."""
        # The salt binds the purpose: what the same secret may sign for another one day is forged here.
        self._signer = Signer(
            secret.get_secret_value(), salt=_PURPOSE, key_derivation="hmac", digest_method=hashlib.sha256
        )
        self._base = public_url + ACKNOWLEDGE_PATH

    def __repr__(self) -> str:
        return f"Links(base={self._base!r})"

    def address(self, incident: Incident, at: datetime) -> str:
        """The address of the page where the incident is acknowledged, good for ``LIFETIME`` from ``at``."""
        return self._base + self.token(incident, at)

    def token(self, incident: Incident, at: datetime) -> str:
        """The last part of the address: the claim in the clear, and its signature."""
        expires = int((at + LIFETIME).timestamp())
        return self._signer.sign(f"{incident.id}-{incident.rounds}-{expires}").decode()

    def read(self, token: str) -> Claim | None:
        """What the link says; None where it was not made with this secret for this purpose."""
        if len(token) > _LONGEST_TOKEN or not token.isascii():
            return None
        try:
            signed = self._signer.unsign(token)
        except BadSignature:
            return None
        # Base64 has several spellings of the same bytes: only the one that was made is genuine.
        if not hmac.compare_digest(self._signer.sign(signed), token.encode()):
            return None
        found = _CLAIM.fullmatch(signed.decode())
        if found is None:
            return None
        id_, rounds, expires = found.groups()
        return Claim(incident_id=id_, rounds=int(rounds), expires_at=datetime.fromtimestamp(int(expires), UTC))


def judge(claim: Claim | None, incident: Incident | None, at: datetime) -> Verdict:
    """What a link is worth at this instant, given the incident that it names as it stands."""
    if claim is None:
        return Verdict.FORGED
    if at >= claim.expires_at:
        return Verdict.EXPIRED
    if incident is None or incident.id != claim.incident_id:
        return Verdict.UNKNOWN
    if incident.state is IncidentState.RESOLVED:
        return Verdict.RESOLVED
    if incident.state is IncidentState.ACKNOWLEDGED:
        return Verdict.ACKNOWLEDGED
    if incident.rounds != claim.rounds:
        return Verdict.OUTDATED
    return Verdict.VALID
