"""Settings: everything that otelmon can be told, checked. Secrets are SecretStr: no repr, log or error shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, SecretStr

from otelmon.config.files import matching
from otelmon.incidents.policy import Policy
from otelmon.instrument.probes import ProbeSettings
from otelmon.instrument.redis_watch import RedisSettings
from otelmon.oncall.model import Mention
from otelmon.oncall.people import Team
from otelmon.rules.model import AlertingRule, Group, Severity

DEFAULT_INTERVAL_SECONDS = 15.0
"""How often rules are evaluated where nothing else is said."""
DEFAULT_MAX_SERIES = 50_000
"""How many series are kept in memory where nothing else is said."""


class PagingMode(StrEnum):
    """Whether pages are sent: always, never, or in production (see ``otelmon.start``)."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class DiscordSettings(BaseModel):
    """Where pages go and whom they mention, by severity. Without a webhook they go to the log."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    webhook_url: SecretStr | None = None
    mention: Mapping[Severity, tuple[InstanceOf[Mention], ...]] = Field(default_factory=dict)


class Settings(BaseModel):
    """Everything that otelmon can be told, checked.

    ``service_source`` and ``environment_source`` say in words where the two came from. ``environment`` is None where
    none is declared. ``disabled_by`` names the variable that switched everything off; then nothing else was read.
    ``exclude_paths`` are paths, or prefixes of paths where they end in ``*``. ``rule_patterns`` are what
    ``rule_files:`` says, made absolute, ``rule_files`` what that matched. ``groups`` are the built-in rules as tuned,
    the user's own, then those of the rule files, ready to evaluate.
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
    policy: InstanceOf[Policy] = Policy()
    team: InstanceOf[Team] = Team()
    probes: tuple[InstanceOf[ProbeSettings], ...] = ()
    redis: tuple[InstanceOf[RedisSettings], ...] = ()
    exclude_paths: tuple[str, ...] = ()
    runbook_base_url: str | None = None
    max_series: int = DEFAULT_MAX_SERIES
    rule_files: tuple[Path, ...] = ()
    rule_patterns: tuple[str, ...] = ()
    groups: tuple[InstanceOf[Group], ...] = ()
    config_file: Path | None = None

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
