"""Settings: otelmon.yaml and the environment, read once before anything starts.

An environment variable wins over the file: it belongs to one deployment, the file to all of them. Whatever cannot be
meant is an error that names the file, line and key (or the variable) and says what to write instead; all of them at
once. Secrets stay in SecretStr: no repr, log or error shows them.
"""

from __future__ import annotations

import os
import platform
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from glob import has_magic
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, SecretStr

from otelmon.document.fields import Faults, Fields, as_boolean, did_you_mean
from otelmon.document.load import read_document
from otelmon.document.model import Scalar, Section, Value, describe, is_empty
from otelmon.errors import ConfigError, Problem
from otelmon.incidents.load import POLICY_KEYS, read_policy
from otelmon.incidents.policy import Policy
from otelmon.oncall.model import Mention, MentionKind
from otelmon.rules.load import load_rule_file
from otelmon.rules.model import AlertingRule, Group, Severity
from otelmon.rules.short import expand_alerts
from otelmon.variables import Variables

FILE_NAMES = ("otelmon.yaml", "otelmon.yml")

_KEYS = (
    "service", "environment", "paging", "interval", "discord", "alerts", "rule_files", "runbook_base_url",
    "exclude_paths", "state_dir", "instance", "max_series", *POLICY_KEYS,
)  # fmt: skip
DEFAULT_INTERVAL_SECONDS = 15.0
"""How often rules are evaluated where nothing else is said."""
_DEFAULT_MAX_SERIES = 50_000
# Titles that a framework gives an application nobody has named.
_DEFAULT_TITLES = {"FastAPI", "Litestar API", "Starlette"}
_LONGEST_NAME = 200
_SNOWFLAKE = re.compile(r"[0-9]{17,20}")
_WEBHOOK_URL = re.compile(
    r"(?:https://(?:ptb\.|canary\.)?discord(?:app)?\.com/api(?:/v[0-9]+)?/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{20,}"
    r"|http://(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]+)?/api(?:/v[0-9]+)?/webhooks/[0-9]+/[A-Za-z0-9_-]+)"
    r"(?:\?thread_id=[0-9]+)?"
)
_WEBHOOK_HINT = "copy it from the channel's settings in Discord: https://discord.com/api/webhooks/ID/TOKEN"


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
    exclude_paths: tuple[str, ...] = ()
    runbook_base_url: str | None = None
    max_series: int = _DEFAULT_MAX_SERIES
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
            found += [path for path in _matching(Path(), pattern) if path not in found]
        return tuple(found)


def find_config(config: str | Path | None, *, environ: Mapping[str, str], directory: Path) -> Path | None:
    """The file to read: ``config``, else ``OTELMON_CONFIG``, else otelmon.yaml in ``directory`` if there is one.

    Raises ConfigError where a named file does not exist, where otelmon.yaml is a directory or a link to nowhere,
    or where there is an otelmon.yaml and an otelmon.yml.
    """
    if config is not None:
        return _existing(Path(config), None)
    named = environ.get("OTELMON_CONFIG", "").strip()
    if named:
        return _existing(Path(named), "OTELMON_CONFIG")
    found = [path for name in FILE_NAMES if os.path.lexists(path := directory / name)]
    if len(found) > 1:
        message = f"there is {found[0].name} and {found[1].name}"
        raise ConfigError([Problem(file=_shown(found[0]), message=message, hint="keep one of them")])
    return _existing(found[0], None) if found else None


def load_settings(
    config: str | Path | None, *, environ: Mapping[str, str], directory: Path, application: str | None = None
) -> Settings:
    """The settings of a configuration file (see :func:`find_config`) and the environment.

    ``application`` is the title of the app, if it has one. Raises ConfigError with every problem found.
    """
    variables = Variables(environ)
    disabled_by = variables.disabled_by()
    if disabled_by is not None:
        # The switch has to work also where the rest of the configuration is broken, so nothing of it is read.
        reader = _Reader(None, Faults(), variables)
        service, source = reader.service(application, directory)
        instance, state_dir = reader.instance(), reader.state_dir(service, directory)
        return Settings(
            service=service, service_source=source, instance=instance, state_dir=state_dir, enabled=False,
            disabled_by=disabled_by,
        )  # fmt: skip
    path = find_config(config, environ=environ, directory=directory)
    faults = Faults()
    document = None if path is None else read_document(path, name=_shown(path), environ=environ)
    if document is not None and not isinstance(document, Section):
        faults.add(document, f"a section of keys expected, not {describe(document)}", hint="see `otelmon init`")
        document = None
    reader = _Reader(document, faults, variables)
    settings = reader.settings(path, application, directory)
    faults.problems.extend(variables.problems)
    faults.raise_any()
    return settings


def folder_name(service: str) -> str:
    """The name of the folder in which a service keeps its state: its own, less what a path cannot have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", service).strip(".")[:100] or "_"


def _existing(path: Path, variable: str | None) -> Path:
    try:
        exists, folder = path.is_file(), path.is_dir()
    except (OSError, ValueError):
        exists = folder = False
    if not exists and folder:
        message = "is a directory, not a file" if variable is None else f"names {str(path)!r}, which is a directory"
        raise ConfigError([Problem(file=str(path) if variable is None else variable, message=message)])
    if not exists:
        message = "no such file" if variable is None else f"names {str(path)!r}, and there is no such file"
        raise ConfigError([Problem(file=str(path) if variable is None else variable, message=message)])
    return path


def _shown(path: Path) -> str:
    """A path as the user would type it: relative where it lies below the current directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


class _Reader:
    """Reads each setting from the environment and the document; notes faults and goes on with the default."""

    def __init__(self, document: Section | None, faults: Faults, variables: Variables) -> None:
        self.faults = faults
        self.variables = variables
        self.fields = None if document is None else _fields(document, faults, known=_KEYS)

    def settings(self, path: Path | None, application: str | None, directory: Path) -> Settings:
        base = directory if path is None else path.parent
        service, service_source = self.service(application, directory)
        environment, environment_source = self.environment()
        fields = self.fields
        interval = None if fields is None else fields.duration("interval", low=1.0, high=3600.0)
        interval = interval or DEFAULT_INTERVAL_SECONDS
        alerts = None if fields is None else fields.value("alerts")
        groups = expand_alerts(alerts, self.faults, interval_seconds=interval)
        rule_files, file_groups = self.rule_files(base)
        self.refuse_taken_names(groups, file_groups)
        max_series = None if fields is None else fields.integer("max_series", low=100, high=10_000_000)
        return Settings(
            service=service,
            service_source=service_source,
            instance=self.instance(),
            environment=environment,
            environment_source=environment_source,
            paging=self.paging(),
            interval_seconds=interval,
            state_dir=self.state_dir(service, base),
            discord=self.discord(),
            policy=read_policy(self.fields, self.faults),
            exclude_paths=self.exclude_paths(),
            runbook_base_url=self.runbook_base_url(),
            max_series=max_series or _DEFAULT_MAX_SERIES,
            rule_files=rule_files,
            rule_patterns=tuple(str((base / scalar.text).absolute()) for scalar in self._scalars("rule_files")),
            groups=(*groups, *file_groups),
            config_file=path,
        )

    def service(self, application: str | None, directory: Path) -> tuple[str, str]:
        """The service's name and where it came from."""
        written = self._text("service")
        title = (application or "").strip()
        candidates = (
            (self.variables.text("OTEL_SERVICE_NAME"), "OTEL_SERVICE_NAME"),
            (self.variables.resource_attributes().get("service.name"), "service.name in OTEL_RESOURCE_ATTRIBUTES"),
            (written, "service: in the configuration file"),
            (None if title in _DEFAULT_TITLES else title, "the application's title"),
            (directory.absolute().name, "the directory's name"),
        )
        for name, source in candidates:
            if name:
                if len(name) > _LONGEST_NAME or not name.isprintable():
                    message = f"the service name is longer than {_LONGEST_NAME} characters or has control characters"
                    self.faults.problems.append(Problem(file=source, message=message, hint="choose a short name"))
                return name, source
        hint = "write service: NAME into otelmon.yaml, or set OTEL_SERVICE_NAME"
        self.faults.problems.append(Problem(message="the service has no name", hint=hint))
        return "unknown", "nowhere"

    def environment(self) -> tuple[str | None, str]:
        """The declared environment and where it came from."""
        attributes = self.variables.resource_attributes()
        in_attributes = "in OTEL_RESOURCE_ATTRIBUTES"
        candidates = (
            (self.variables.text("OTELMON_ENVIRONMENT"), "OTELMON_ENVIRONMENT"),
            (attributes.get("deployment.environment.name"), f"deployment.environment.name {in_attributes}"),
            (attributes.get("deployment.environment"), f"deployment.environment {in_attributes}"),
            (self.variables.text("SENTRY_ENVIRONMENT"), "SENTRY_ENVIRONMENT"),
            (self._text("environment"), "environment: in the configuration file"),
        )
        return next(((name, source) for name, source in candidates if name), (None, ""))

    def instance(self) -> str:
        """Which machine or pod this is: as set, else the host's name."""
        declared = self.variables.resource_attributes().get("service.instance.id")
        return declared or self._text("instance") or platform.node() or "localhost"

    def paging(self) -> PagingMode:
        """``paging:``, or OTELMON_PAGING over it."""
        mode = PagingMode.AUTO
        value = None if self.fields is None else self.fields.value("paging")
        if self.fields is not None and value is not None:
            found = _paging_mode(value)
            if found is None:
                self.fields.fault("paging", f"{describe(value)} is not known here", "write auto, on or off")
            mode = found or mode
        word = self.variables.text("OTELMON_PAGING")
        if word is not None:
            words = {"fault": "is not known here", "hint": "set it to auto, on or off"}
            boolean = self.variables.boolean("OTELMON_PAGING", **words) if word.lower() != "auto" else None
            mode = PagingMode.AUTO if boolean is None else PagingMode.ON if boolean else PagingMode.OFF
        return mode

    def state_dir(self, service: str, base: Path) -> Path:
        """Where state is kept: OTELMON_STATE_DIR, ``state_dir:``, else the user's state directory, else /tmp."""
        home = self.variables.text("HOME")
        declared = self.variables.text("OTELMON_STATE_DIR")
        written = self._text("state_dir")
        # Services that share a directory (a volume, a home) must not take each other's alerts for theirs.
        folder = folder_name(service)
        if declared or written:
            path = Path(declared or written or "")
            if path.parts[:1] == ("~",) and home:
                path = Path(home, *path.parts[1:])
            return (path if declared else base / path) / folder
        # A container may have no home; the app must start there all the same.
        below = self.variables.text("XDG_STATE_HOME") or (f"{home}/.local/state" if home else tempfile.gettempdir())
        return Path(below, "otelmon", folder)

    def discord(self) -> DiscordSettings:
        """``discord:``, with DISCORD_WEBHOOK_URL and DISCORD_ROLE_ID."""
        section = None if self.fields is None else self.fields.sub("discord")
        fields = None
        if section is not None:
            fields = _fields(section, self.faults, known=("webhook_url", "mention"), path="discord")
        url = self._webhook_url(fields)
        mention: dict[Severity, tuple[Mention, ...]] = {} if fields is None else self._mention(fields)
        role = self.variables.text("DISCORD_ROLE_ID")
        if role is not None:
            if _SNOWFLAKE.fullmatch(role):
                # Beside those of the file, not in their place: one more person pinged is better than one less.
                critical = (*mention.get(Severity.CRITICAL, ()), Mention(kind=MentionKind.ROLE, id=role))
                mention[Severity.CRITICAL] = tuple(dict.fromkeys(critical))
            else:
                self.variables.fault("DISCORD_ROLE_ID", "is no id of a role", "set it to its 17 to 20 digits")
        return DiscordSettings(webhook_url=None if url is None else SecretStr(url), mention=mention)

    def _webhook_url(self, fields: Fields | None) -> str | None:
        name = "DISCORD_WEBHOOK_URL"
        url = self.variables.text(name)
        if url is not None:
            fault = webhook_url_fault(url)
            if fault is not None:
                self.variables.fault(name, fault, _WEBHOOK_HINT)
            return url
        value = None if fields is None else fields.value("webhook_url")
        if fields is None or value is None:
            return None
        url = value.text.strip() if isinstance(value, Scalar) else ""
        fault = webhook_url_fault(url)
        if fault is not None:
            fields.fault("webhook_url", fault, _WEBHOOK_HINT)
        return url

    def _mention(self, fields: Fields) -> dict[Severity, tuple[Mention, ...]]:
        section = fields.sub("mention")
        if section is None:
            return {}
        severities = [severity.value for severity in reversed(Severity)]
        by_severity = _fields(section, self.faults, known=severities, path="discord.mention")
        found: dict[Severity, tuple[Mention, ...]] = {}
        for severity in severities:
            listing = by_severity.listing(severity)
            items = () if listing is None else listing.items
            read = (self._one_mention(item, by_severity.key(severity)) for item in items)
            mentions = tuple(dict.fromkeys(mention for mention in read if mention is not None))
            if mentions:
                found[Severity(severity)] = mentions
        return found

    def _one_mention(self, value: Value, key: str) -> Mention | None:
        if not isinstance(value, Section) or len(value.entries) != 1:
            hint = "write - role: ID or - user: ID, with the id's 17 to 20 digits"
            self.faults.add(value, f"a role or a user expected, not {describe(value)}", key=key, hint=hint)
            return None
        ((kind, entry),) = value.entries.items()
        if kind not in set(MentionKind):
            hint = did_you_mean(kind, MentionKind) or "write role: or user:"
            self.faults.add(entry.key, "neither a role nor a user", key=f"{key}.{kind}", hint=hint)
            return None
        if isinstance(entry.value, Scalar) and entry.value.written and is_empty(entry.value):
            return None  # ${NAME:-} with nothing set: nobody
        text = entry.value.text.strip() if isinstance(entry.value, Scalar) else ""
        if not _SNOWFLAKE.fullmatch(text):
            hint = "write its 17 to 20 digits (in Discord: developer mode, Copy ID)"
            self.faults.add(entry.value, f"{describe(entry.value)} is no id of Discord", key=f"{key}.{kind}", hint=hint)
            return None
        return Mention(kind=MentionKind(kind), id=text)

    def exclude_paths(self) -> tuple[str, ...]:
        """``exclude_paths:``: paths that are not measured."""
        paths: list[str] = []
        for scalar in self._scalars("exclude_paths"):
            if not scalar.text.startswith("/") or "*" in scalar.text[:-1]:
                hint = "write a path such as /health, or /internal/* for all below"
                self.faults.add(scalar, f"{scalar.shown} is no path", key="exclude_paths", hint=hint)
            paths.append(scalar.text)
        return tuple(paths)

    def runbook_base_url(self) -> str | None:
        """``runbook_base_url:``: where the team keeps its runbooks."""
        url = self._text("runbook_base_url")
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and " " not in url
        except ValueError:
            valid = False
        if not valid and self.fields is not None:
            self.fields.fault("runbook_base_url", "is no address of a web page", "write https://...")
        return url

    def rule_files(self, base: Path) -> tuple[tuple[Path, ...], tuple[Group, ...]]:
        """``rule_files:``: paths and globs, relative to the configuration file, and the groups in them."""
        paths: list[Path] = []
        groups: list[Group] = []
        for scalar in self._scalars("rule_files"):
            found = _matching(base, scalar.text)
            if not found:
                message = f"{scalar.shown} matches no file"
                self.faults.add(scalar, message, key="rule_files", hint=f"paths are relative to {_shown(base)}/")
            paths += [path for path in found if path not in paths]
        for path in paths:
            try:
                groups += load_rule_file(path, name=_shown(path))
            except ConfigError as error:
                self.faults.add_error(error)
        return tuple(paths), tuple(groups)

    def refuse_taken_names(self, groups: tuple[Group, ...], file_groups: tuple[Group, ...]) -> None:
        """A rule file may have several rules of one name, as in Prometheus, but none of those that ``alerts:`` has."""
        taken = {rule.name: rule.origin for group in groups for rule in group.rules}
        for group in file_groups:
            for rule in group.rules:
                if isinstance(rule, AlertingRule) and rule.name in taken:
                    origin = taken[rule.name]
                    message = f"the alert {rule.name!r} is there already ({origin.file}:{origin.line})"
                    problem = Problem(
                        file=rule.origin.file, line=rule.origin.line, message=message, hint="give one another name"
                    )
                    self.faults.problems.append(problem)

    def _text(self, name: str) -> str | None:
        text = None if self.fields is None else self.fields.text(name)
        return None if text is None else text.strip()

    def _scalars(self, name: str) -> list[Scalar]:
        """A list of texts; a single one needs no brackets."""
        value = None if self.fields is None else self.fields.value(name)
        if self.fields is None or value is None:
            return []
        if isinstance(value, Scalar):
            return [value]
        listing = self.fields.listing(name)
        found: list[Scalar] = []
        for item in () if listing is None else listing.items:
            if isinstance(item, Scalar) and not is_empty(item):
                found.append(item)
            else:
                self.faults.add(item, f"text expected, not {describe(item)}", key=name)
        return found


def webhook_url_fault(url: str) -> str | None:
    """What is wrong with a Discord webhook URL, without a word of it; None where nothing is."""
    if _WEBHOOK_URL.fullmatch(url):
        return None
    if url[:1] in "'\"" and url[:1] == url[-1:]:
        return "has quotes around it that are part of the value"
    if url.startswith("http://") and "discord" in url:
        return "is a webhook URL without TLS; it has to begin with https://"
    if "/channels/" in url:
        return "is the address of a channel, not of a webhook"
    if "/api/webhooks/" in url and "discord" in url:
        return "is not a whole webhook URL: the id has 17 to 20 digits, the token more than 20 characters"
    return "is not the URL of a Discord webhook"


def _paging_mode(value: Value) -> PagingMode | None:
    switched = as_boolean(value)
    if switched is not None:
        return PagingMode.ON if switched else PagingMode.OFF
    return PagingMode.AUTO if isinstance(value, Scalar) and value.text.strip().lower() == "auto" else None


def _fields(section: Section, faults: Faults, *, known: Sequence[str], path: str = "") -> Fields:
    """The fields that are set: a heading whose lines are all commented out is no fault, if its name is known."""
    kept = {name: entry for name, entry in section.entries.items() if name not in known or not is_empty(entry.value)}
    set_only = Section(source=section.source, start=section.start, end=section.end, entries=kept)
    return Fields(set_only, faults, known=known, path=path)


def _matching(base: Path, pattern: str) -> list[Path]:
    """The files of a path or glob, in the order of their names."""
    path = base / pattern
    try:
        if not has_magic(pattern):
            return [path] if path.is_file() else []
        anchor = Path(path.anchor) if Path(pattern).is_absolute() else base
        relative = Path(pattern).relative_to(Path(pattern).anchor)
        return sorted(found for found in anchor.glob(str(relative)) if found.is_file())
    except (OSError, ValueError, NotImplementedError, IndexError):
        return []
