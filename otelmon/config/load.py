"""Reads otelmon.yaml and the environment, once before anything starts.

An environment variable wins over the file: it belongs to one deployment, the file to all of them. Whatever cannot be
meant is an error that names the file, line and key (or the variable) and says what to write instead; all of them at
once.
"""

from __future__ import annotations

import platform
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from otelmon.config.client import read_client
from otelmon.config.discord import read_discord
from otelmon.config.files import find_config, matching, shown
from otelmon.config.forward import read_forward
from otelmon.config.heartbeat import read_heartbeat_seconds, read_heartbeat_url
from otelmon.config.notifiers import read_fallback, read_notifiers, read_routes
from otelmon.config.process import read_process
from otelmon.config.sentry import read_sentry
from otelmon.config.serve import DEFAULT_MAX_SERIES as SERVER_MAX_SERIES
from otelmon.config.serve import read_serve
from otelmon.config.settings import DEFAULT_INTERVAL_SECONDS, DEFAULT_MAX_SERIES, DISCORD, LOG, PagingMode, Settings
from otelmon.config.sources import read_probes, read_redis
from otelmon.config.tenants import check_tenants
from otelmon.document.fields import Problems, as_boolean, set_fields
from otelmon.document.load import read_document
from otelmon.document.model import Scalar, Section, Value, describe, is_empty
from otelmon.errors import ConfigError, Problem
from otelmon.incidents.load import POLICY_KEYS, read_policy
from otelmon.oncall.load import read_team
from otelmon.oncall.load_notices import KEY as NOTICES_KEY
from otelmon.oncall.load_notices import read_notices
from otelmon.oncall.people import Team
from otelmon.rules.load import load_rule_file
from otelmon.rules.model import AlertingRule, Group
from otelmon.rules.short import expand_alerts
from otelmon.rules.slo import expand_slos
from otelmon.variables import Variables

_KEYS = (
    "service", "environment", "paging", "interval", "discord", "alerts", "rule_files", "runbook_base_url",
    "public_url", "exclude_paths", "state_dir", "instance", "max_series", "people", "schedules", "escalation",
    "runbooks", "notifiers", "fallback", "routes", "probes", "redis", "sentry_url", "heartbeat_url", "heartbeat_every",
    "slo", "trace_url", "exception_messages", "endpoint", "token", "endpoint_tls", "serve", "forward", "process",
    NOTICES_KEY, *POLICY_KEYS,
)  # fmt: skip
# Titles that a framework gives an application nobody has named.
_DEFAULT_TITLES = {"FastAPI", "Litestar API", "Starlette"}
_LONGEST_NAME = 200
# Leaves room for the link to a page in what Discord takes as the address of a button.
_LONGEST_PUBLIC_URL = 300


def load_settings(
    config: str | Path | None,
    *,
    environ: Mapping[str, str],
    directory: Path,
    application: str | None = None,
    server: bool = False,
) -> Settings:
    """The settings of a configuration file (see :func:`find_config`) and the environment.

    ``application`` is the title of the app, if it has one. ``server`` is for `otelmon serve`, which is called by
    ``serve: name``: ``service:`` is about an application that may share the file. Raises ConfigError with every problem
    found.
    """
    variables = Variables(environ)
    disabled_by = variables.disabled_by()
    if disabled_by is not None:
        # The switch has to work also where the rest of the configuration is broken, so nothing of it is read.
        reader = _Reader(None, Problems(), variables)
        service, source = reader.service(application, directory)
        instance, state_dir = reader.instance(), reader.state_dir(service, directory)
        return Settings(
            service=service, service_source=source, instance=instance, state_dir=state_dir, enabled=False,
            disabled_by=disabled_by,
        )  # fmt: skip
    path = find_config(config, environ=environ, directory=directory)
    problems = Problems()
    document = None if path is None else read_document(path, name=shown(path), environ=environ)
    if document is not None and not isinstance(document, Section):
        problems.add(document, f"a section of keys expected, not {describe(document)}", hint="see `otelmon init`")
        document = None
    reader = _Reader(document, problems, variables)
    settings = reader.settings(path, application, directory, server=server)
    problems.found.extend(variables.problems)
    problems.raise_any()
    return settings


def folder_name(service: str) -> str:
    """The name of the folder in which a service keeps its state: its own, less what a path cannot have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", service).strip(".")[:100] or "_"


class _Reader:
    """Reads each setting from the environment and the document; notes problems and goes on with the default."""

    def __init__(self, document: Section | None, problems: Problems, variables: Variables) -> None:
        self.problems = problems
        self.variables = variables
        self.fields = None if document is None else set_fields(document, problems, known=_KEYS)

    def settings(self, path: Path | None, application: str | None, directory: Path, *, server: bool) -> Settings:
        base = directory if path is None else path.parent
        serve = read_serve(self.fields, base, self.problems)
        named = (serve.name, "serve: name") if server else self.service(application, directory)
        service, service_source = named
        environment, environment_source = self.environment()
        fields = self.fields
        interval = None if fields is None else fields.duration("interval", low=1.0, high=3600.0)
        interval = interval or DEFAULT_INTERVAL_SECONDS
        alerts = None if fields is None else fields.value("alerts")
        groups = expand_alerts(alerts, self.problems, interval_seconds=interval)
        slos = None if fields is None else fields.value("slo")
        groups += expand_slos(slos, self.problems, interval_seconds=interval)
        rule_files, file_groups = self.rule_files(base)
        self.refuse_taken_names(groups, file_groups)
        check_tenants(fields, (*groups, *file_groups), self.problems)
        notifiers = read_notifiers(fields, self.problems)
        names = self.written_names("notifiers")
        team = self.team((DISCORD, LOG, *names))
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
            discord=read_discord(self.fields, self.variables, self.problems),
            policy=read_policy(self.fields, self.problems),
            team=team,
            notices=read_notices(self.fields, self.problems),
            notifiers=notifiers,
            fallback=read_fallback(fields, names, self.problems),
            routes=read_routes(fields, names, self.written_names("escalation"), self.problems),
            probes=read_probes(self.fields),
            redis=read_redis(self._scalars("redis"), self.problems),
            exclude_paths=self.exclude_paths(),
            runbook_base_url=self._address("runbook_base_url"),
            runbooks=self.runbooks(base),
            public_url=self.public_url(),
            trace_url=self.trace_url(),
            exception_messages=bool(fields is not None and fields.boolean("exception_messages")),
            sentry=read_sentry(self.variables, self._address("sentry_url")),
            heartbeat_url=read_heartbeat_url(fields, self.variables),
            heartbeat_seconds=read_heartbeat_seconds(fields),
            client=None if server else read_client(fields, base, self.variables),
            serve=serve,
            forward=read_forward(fields, base, self.problems, serve=serve),
            process=read_process(fields, self.problems),
            max_series=max_series or (SERVER_MAX_SERIES if server else DEFAULT_MAX_SERIES),
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
                    self.problems.found.append(Problem(file=source, message=message, hint="choose a short name"))
                return name, source
        hint = "write service: NAME into otelmon.yaml, or set OTEL_SERVICE_NAME"
        self.problems.found.append(Problem(message="the service has no name", hint=hint))
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

    def written_names(self, section: str) -> tuple[str, ...]:
        """The names in a section as written: where one is described wrongly, naming it is no second fault."""
        value = None if self.fields is None else self.fields.value(section)
        return tuple(value.entries) if isinstance(value, Section) else ()

    def team(self, webhooks: tuple[str, ...]) -> Team:
        """``people:``, ``schedules:`` and ``escalation:``, whose policies may page these notifiers.

        Where ``notifiers:`` are still to be written a policy may name them already; the start warns of it.
        """
        if self.fields is None:
            return Team()
        people, schedules, escalation = (self.fields.value(name) for name in ("people", "schedules", "escalation"))
        known = webhooks if self.written_names("notifiers") else None
        return read_team(people, schedules, escalation, self.problems, webhooks=known)

    def exclude_paths(self) -> tuple[str, ...]:
        """``exclude_paths:``: paths that are not measured."""
        paths: list[str] = []
        for scalar in self._scalars("exclude_paths"):
            if not scalar.text.startswith("/") or "*" in scalar.text[:-1]:
                hint = "write a path such as /health, or /internal/* for all below"
                self.problems.add(scalar, f"{scalar.shown} is no path", key="exclude_paths", hint=hint)
            paths.append(scalar.text)
        return tuple(paths)

    def public_url(self) -> str | None:
        """``public_url:``: where people reach the app, without a slash at its end."""
        url = self._address("public_url")
        if url is None or self.fields is None:
            return None
        if any(character in url for character in "?#@"):
            hint = "write only where the app is reached: https://shop.example.com, or with a path"
            self.fields.fault("public_url", "has more than an address and a path", hint)
        elif len(url) > _LONGEST_PUBLIC_URL:
            self.fields.fault("public_url", f"is longer than {_LONGEST_PUBLIC_URL} characters", "write a shorter one")
        return url.rstrip("/")

    def trace_url(self) -> str:
        """``trace_url:``: the address of a trace, with a place for its id."""
        url = self._address("trace_url") or ""
        if url and "{trace_id}" not in url and self.fields is not None:
            hint = "write {trace_id} where the id of a trace belongs"
            self.fields.fault("trace_url", "leads to the same page for every trace", hint)
        return url

    def runbooks(self, base: Path) -> Path | None:
        """``runbooks:``: the folder of the team's own runbooks, relative to the configuration file."""
        written = self._text("runbooks")
        if written is None or self.fields is None:
            return None
        folder = (base / written).absolute()
        if not folder.is_dir():
            hint = f"make the folder; paths are relative to {shown(base)}/"
            self.fields.fault("runbooks", f"{written!r} is no folder", hint)
        return folder

    def rule_files(self, base: Path) -> tuple[tuple[Path, ...], tuple[Group, ...]]:
        """``rule_files:``: paths and globs, relative to the configuration file, and the groups in them."""
        paths: list[Path] = []
        groups: list[Group] = []
        for scalar in self._scalars("rule_files"):
            found = matching(base, scalar.text)
            if not found:
                message = f"{scalar.shown} matches no file"
                self.problems.add(scalar, message, key="rule_files", hint=f"paths are relative to {shown(base)}/")
            paths += [path for path in found if path not in paths]
        for path in paths:
            try:
                groups += load_rule_file(path, name=shown(path))
            except ConfigError as error:
                self.problems.add_error(error)
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
                    self.problems.found.append(problem)

    def _address(self, name: str) -> str | None:
        """The address of a web page."""
        url = self._text(name)
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and " " not in url
        except ValueError:
            valid = False
        if not valid and self.fields is not None:
            self.fields.fault(name, "is no address of a web page", "write https://...")
        return url

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
                self.problems.add(item, f"text expected, not {describe(item)}", key=name)
        return found


def _paging_mode(value: Value) -> PagingMode | None:
    switched = as_boolean(value)
    if switched is not None:
        return PagingMode.ON if switched else PagingMode.OFF
    return PagingMode.AUTO if isinstance(value, Scalar) and value.text.strip().lower() == "auto" else None
