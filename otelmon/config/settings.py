"""Settings: everything that otelmon can be told, checked. Secrets are SecretStr: no repr, log or error shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, SecretStr

from otelmon.config.client import ClientSettings
from otelmon.config.files import matching
from otelmon.config.forward import ForwardSettings
from otelmon.config.process import ProcessSettings
from otelmon.config.sentry import SentrySettings
from otelmon.config.serve import ServeSettings
from otelmon.incidents.policy import Policy
from otelmon.instrument.probes import ProbeSettings
from otelmon.instrument.redis_watch import RedisSettings
from otelmon.oncall.model import Mention
from otelmon.oncall.people import Team
from otelmon.oncall.policy import TargetKind
from otelmon.oncall.shifts_told import NoticeSettings
from otelmon.paging.routing import RouteRule
from otelmon.rules.model import AlertingRule, Group, Severity

DISCORD = "discord"
"""The name of the notifier that ``discord:`` describes."""
LOG = "log"
"""The name of the application's log as a notifier."""
DEFAULT_INTERVAL_SECONDS = 15.0
"""How often rules are evaluated where nothing else is said."""
DEFAULT_MAX_SERIES = 50_000
"""How many series are kept in memory where nothing else is said."""
DEFAULT_HEARTBEAT_SECONDS = 30.0
"""How often the heartbeat's address is called at most where nothing else is said."""


class PagingMode(StrEnum):
    """Whether pages are sent: always, never, or in production (see ``otelmon.start``)."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class DiscordSettings(BaseModel):
    """Where pages go and whom they mention, by severity. Without a webhook they go to the log.

    ``forum`` says that the webhook is of a forum channel, ``tags`` are the ids of its tags that each post gets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    webhook_url: SecretStr | None = None
    mention: Mapping[Severity, tuple[InstanceOf[Mention], ...]] = Field(default_factory=dict)
    forum: bool = False
    tags: tuple[str, ...] = ()


class NotifierKind(StrEnum):
    """What a notifier speaks: Discord's webhooks, or Alertmanager's."""

    DISCORD = "discord"
    WEBHOOK = "webhook"


class NotifierSettings(BaseModel):
    """One more place for pages. Without a ``url`` (its variable is not set here) they go to the log."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str
    kind: NotifierKind
    url: SecretStr | None = None
    token: SecretStr | None = None
    forum: bool = False
    tags: tuple[str, ...] = ()


class Settings(BaseModel):
    """Everything that otelmon can be told, checked.

    ``service_source`` and ``environment_source`` say in words where the two came from. ``environment`` is None
    where none is declared. ``disabled_by`` names the variable that switched everything off; then nothing else was
    read. ``runbooks`` is the folder of the team's own runbooks. ``public_url`` is where people reach the app,
    without a slash at its end; None where no page links there. ``trace_url`` is the address of a trace, with
    ``{trace_id}`` in it; empty where none is linked. ``exception_messages`` is whether pages quote those of
    exceptions. ``exclude_paths`` are paths, or prefixes of paths where they end in ``*``. ``rule_patterns`` are
    what ``rule_files:`` says, made absolute, ``rule_files`` what that matched. ``heartbeat_url`` is called after good
    ticks, at most once ``heartbeat_seconds``. ``serve`` is for `otelmon serve`. ``client`` is the server that pages
    instead of this process, as long as it answers. ``forward`` is where all goes on that `otelmon serve` is sent,
    ``process`` what becomes of metrics before that. ``groups`` are the built-in rules as tuned, the user's own, then
    those of the rule files, ready to evaluate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    service: str
    service_source: str
    instance: str
    environment: str | None = None
    environment_source: str = ""
    enabled: bool = True
    disabled_by: str | None = None
    paging: PagingMode = PagingMode.AUTO
    interval_seconds: float = DEFAULT_INTERVAL_SECONDS
    state_dir: Path
    discord: DiscordSettings = DiscordSettings()
    notifiers: tuple[NotifierSettings, ...] = ()
    fallback: tuple[str, ...] = ()
    routes: tuple[InstanceOf[RouteRule], ...] = ()
    policy: InstanceOf[Policy] = Policy()
    team: InstanceOf[Team] = Team()
    notices: InstanceOf[NoticeSettings] = NoticeSettings()
    probes: tuple[InstanceOf[ProbeSettings], ...] = ()
    redis: tuple[InstanceOf[RedisSettings], ...] = ()
    exclude_paths: tuple[str, ...] = ()
    runbook_base_url: str | None = None
    runbooks: Path | None = None
    public_url: str | None = None
    trace_url: str = ""
    exception_messages: bool = False
    sentry: SentrySettings = SentrySettings()
    max_series: int = DEFAULT_MAX_SERIES
    heartbeat_url: SecretStr | None = None
    heartbeat_seconds: float = DEFAULT_HEARTBEAT_SECONDS
    client: ClientSettings | None = None
    serve: ServeSettings = ServeSettings()
    forward: tuple[ForwardSettings, ...] = ()
    process: InstanceOf[ProcessSettings] = ProcessSettings()
    rule_files: tuple[Path, ...] = ()
    rule_patterns: tuple[str, ...] = ()
    groups: tuple[InstanceOf[Group], ...] = ()
    config_file: Path | None = None

    @property
    def has_webhook(self) -> bool:
        """Whether a page can go anywhere but to the log."""
        return self.discord.webhook_url is not None or any(one.url is not None for one in self.notifiers)

    def unknown_webhooks(self) -> tuple[str, ...]:
        """The webhooks that escalation policies page and that no notifier is named for."""
        known = {DISCORD, LOG, *(one.name for one in self.notifiers)}
        named = (target for policy in self.team.policies.values() for step in policy.steps for target in step.notify)
        unknown = (each.name for each in named if each.kind is TargetKind.WEBHOOK and each.name not in known)
        return tuple(dict.fromkeys(unknown))

    def alerting_rules(self) -> Iterator[AlertingRule]:
        """Every alerting rule, in the order of evaluation."""
        return (rule for group in self.groups for rule in group.rules if isinstance(rule, AlertingRule))

    def alerting_rule(self, name: str) -> AlertingRule | None:
        """The first alerting rule of a name; None where there is none (or it is off)."""
        return next(iter(self.alerting_rules_named(name)), None)

    def alerting_rules_named(self, name: str) -> tuple[AlertingRule, ...]:
        """The alerting rules of a name: rule files may have several."""
        return tuple(rule for rule in self.alerting_rules() if rule.name == name)

    def files(self) -> tuple[Path, ...]:
        """The configuration file and the rule files that there are now, also those that came since it was read."""
        found = [] if self.config_file is None else [self.config_file]
        for pattern in self.rule_patterns:
            found += [path for path in matching(Path(), pattern) if path not in found]
        return tuple(found)
