"""What is said once at start: environment, paging and why, whom critical mentions, which file, where state is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from otelmon.config.settings import PagingMode, Settings
from otelmon.oncall.escalations import DEFAULT_POLICY
from otelmon.rules.model import Severity
from otelmon.runtime.switch import PagingDecision
from otelmon.runtime.tracking import sdk_missing

# File systems that are gone after a restart of the machine or the container.
_PASSING = frozenset({"tmpfs", "ramfs", "overlay", "aufs"})


def startup_line(settings: Settings, paging: PagingDecision) -> str:
    """The one line that says how this process watches and pages."""
    mentions = settings.discord.mention.get(Severity.CRITICAL, ())
    parts = [
        f"watching {settings.service} (name from {settings.service_source})",
        f"environment {settings.environment or 'not declared'}",
        f"paging {'on' if paging.on else 'off'} ({paging.reason})",
        f"critical mentions {', '.join(map(str, mentions)) or 'nobody'}",
        f"configuration {settings.config_file or 'built in, no otelmon.yaml'}",
        f"state in {settings.state_dir}",
    ]
    if settings.client is not None:
        parts.insert(2, f"the server at {settings.client.url} pages in its place while it answers")
    return "; ".join(parts)


def startup_warnings(settings: Settings, paging: PagingDecision, *, mounts: str, server: bool = False) -> Iterator[str]:
    """What a user should mend before it matters. ``mounts`` is the text of /proc/mounts, empty where there is none.

    ``server`` is `otelmon serve`, which evaluates for all hosts.
    """
    if sdk_missing(settings):
        yield (
            "SENTRY_DSN is set and the SDK that tracks errors is not installed: pip install 'otelmon[sentry]'; "
            "critical alerts are sent there all the same"
        )
    if not paging.on:
        nothing_said = settings.paging is PagingMode.AUTO and settings.environment is None and not settings.has_webhook
        if settings.client is not None and nothing_said:
            yield (
                f"while the server at {settings.client.url} does not answer, nobody is paged for this app: no webhook "
                "is set here; set DISCORD_WEBHOOK_URL for the app too, or paging: off if this is meant"
            )
        return
    if not settings.has_webhook:
        yield (
            "paging is on and no webhook is set: pages go to the log only; "
            "set DISCORD_WEBHOOK_URL, or discord: {webhook_url: ...} in otelmon.yaml"
        )
    elif (
        settings.discord.webhook_url is not None
        and not settings.discord.mention.get(Severity.CRITICAL)
        and DEFAULT_POLICY not in settings.team.policies
    ):
        yield (
            "critical pages ping nobody; set DISCORD_ROLE_ID, "
            "or discord: {mention: {critical: [role: ID]}} in otelmon.yaml"
        )
    for name in settings.unknown_webhooks():
        yield f"an escalation step pages {name!r}, and no notifier has this name; write notifiers: {{{name}: ...}}"
    if (settings.public_url or "").startswith("http:") and not _is_local(settings.public_url or ""):
        yield "public_url is without TLS: whoever reads along may acknowledge; write https:// if the app is reached so"
    file_system = file_system_of(settings.state_dir, mounts)
    if file_system in _PASSING:
        yield (
            f"the state in {settings.state_dir} is on {file_system} and does not last over a restart of the machine or "
            "container; set OTELMON_STATE_DIR to a volume"
        )
    if not server and settings.client is None:
        yield (
            "the workers of one host evaluate and page as one; those of another host do so on their own, and page too: "
            "where this app is served on several, let `otelmon serve` evaluate for all"
        )


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


def file_system_of(path: Path, mounts: str) -> str | None:
    """The type of the file system that holds a path (which need not exist yet), None where it cannot be told."""
    found, longest = None, -1
    resolved = path.absolute()
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " "))
        if resolved.is_relative_to(point) and len(point.parts) >= longest:
            found, longest = fields[2], len(point.parts)
    return found
