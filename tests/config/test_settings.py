"""What otelmon is told, by the file and by the environment."""

import tempfile
from importlib.resources import files
from pathlib import Path

import pytest

from otelmon.config.files import find_config
from otelmon.config.load import load_settings
from otelmon.config.settings import PagingMode
from otelmon.errors import ConfigError
from otelmon.oncall.model import Mention, MentionKind
from otelmon.rules.model import RecordingRule, Severity

WEBHOOK = "https://discord.com/api/webhooks/123456789012345678/aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789"
HOME = {"HOME": "/home/a"}
ROLE = Mention(kind=MentionKind.ROLE, id="123456789012345678")
USER = Mention(kind=MentionKind.USER, id="234567890123456789")


def settings(directory: Path, text: str | None = None, application: str | None = None, **environ: str):
    if text is not None:
        (directory / "otelmon.yaml").write_text(text)
    return load_settings(None, environ={**HOME, **environ}, directory=directory, application=application)


def test_without_a_file_everything_has_a_default(tmp_path):
    directory = tmp_path / "shop"
    directory.mkdir()
    found = settings(directory)
    assert (found.service, found.service_source) == ("shop", "the directory's name")
    assert (found.environment, found.paging, found.enabled) == (None, PagingMode.AUTO, True)
    assert (found.interval_seconds, found.max_series) == (15.0, 50_000)
    assert found.state_dir == Path("/home/a/.local/state/otelmon/shop")
    assert (found.discord.webhook_url, dict(found.discord.mention)) == (None, {})
    assert (found.config_file, found.exclude_paths, found.rule_files) == (None, (), ())
    assert [rule.name for rule in found.alerting_rules()][:2] == ["error_rate", "route_error_rate"]
    assert found.instance


def test_the_annotated_file_works_with_only_a_webhook_in_the_environment(tmp_path):
    text = files("otelmon").joinpath("otelmon.yaml").read_text(encoding="utf-8")
    found = settings(tmp_path, text, DISCORD_WEBHOOK_URL=WEBHOOK)
    assert found.discord.webhook_url is not None
    assert found.discord.webhook_url.get_secret_value() == WEBHOOK
    assert found.alerting_rule("cart_failures") is not None
    assert found.alerting_rule("cpu_usage") is None
    assert settings(tmp_path, text).discord.webhook_url is None
    assert len(text.splitlines()) <= 240


def test_what_is_commented_out_in_the_annotated_file_works_when_it_is_uncommented(tmp_path):
    text = files("otelmon").joinpath("otelmon.yaml").read_text(encoding="utf-8")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yml").write_text("groups: []")
    keys = ("service", "environment", "mention", "  critical", "  warning", "route_error_rate", "memory_usage",
            "cpu_usage", "description", "runbook", "unit", "labels", "keep_firing_for", "rule_files",
            "runbook_base_url", "public_url", "exclude_paths", "state_dir", "instance", "max_series")  # fmt: skip
    lines = []
    uncommented = 0
    for line in text.splitlines():
        indent, hash_, rest = line.partition("# ")
        if hash_ and not indent.strip() and rest.startswith(tuple(f"{key}:" for key in keys)):
            lines.append(indent + rest)
            uncommented += 1
        else:
            lines.append(line)
    assert uncommented == len(keys)
    found = settings(tmp_path, "\n".join(lines))
    assert found.service == "shop"
    assert dict(found.discord.mention) == {Severity.CRITICAL: (ROLE, USER)}
    assert found.alerting_rule("cpu_usage") is not None
    assert found.exclude_paths == ("/health", "/internal/*")


def test_the_environment_names_the_service_before_the_file_does(tmp_path):
    text = "service: from-file\n"
    attributes = "team=a,service.name=from%20attributes"
    assert settings(tmp_path, text, "App").service == "from-file"
    found = settings(tmp_path, text, "App", OTEL_RESOURCE_ATTRIBUTES=attributes)
    assert (found.service, found.service_source) == ("from attributes", "service.name in OTEL_RESOURCE_ATTRIBUTES")
    found = settings(tmp_path, text, OTEL_RESOURCE_ATTRIBUTES=attributes, OTEL_SERVICE_NAME="from-env")
    assert (found.service, found.service_source) == ("from-env", "OTEL_SERVICE_NAME")


def test_a_title_names_the_service_unless_it_is_the_frameworks_own(tmp_path):
    assert settings(tmp_path, "", "Shop").service_source == "the application's title"
    assert settings(tmp_path, "", "FastAPI").service == tmp_path.name


def test_a_service_without_any_name_is_refused_with_the_line_to_add():
    with pytest.raises(ConfigError, match=r"write service: NAME into otelmon\.yaml, or set OTEL_SERVICE_NAME"):
        load_settings(None, environ=HOME, directory=Path("/"))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ("file", "environment: in the configuration file")),
        ({"SENTRY_ENVIRONMENT": "s"}, ("s", "SENTRY_ENVIRONMENT")),
        (
            {"SENTRY_ENVIRONMENT": "s", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=old"},
            ("old", "deployment.environment in OTEL_RESOURCE_ATTRIBUTES"),
        ),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=old,deployment.environment.name=new"},
            ("new", "deployment.environment.name in OTEL_RESOURCE_ATTRIBUTES"),
        ),
        (
            {"OTELMON_ENVIRONMENT": "o", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=new"},
            ("o", "OTELMON_ENVIRONMENT"),
        ),
    ],
)
def test_the_environment_is_declared_in_one_of_these_places(tmp_path, environ, expected):
    found = settings(tmp_path, "environment: file\n", **environ)
    assert (found.environment, found.environment_source) == expected


@pytest.mark.parametrize(
    ("written", "variable", "mode"),
    [
        ("off", None, PagingMode.OFF),
        ("on", None, PagingMode.ON),
        ("no", None, PagingMode.OFF),
        ("true", None, PagingMode.ON),
        ("auto", None, PagingMode.AUTO),
        ("Auto", None, PagingMode.AUTO),
        ("on", "off", PagingMode.OFF),
        ("off", "AUTO", PagingMode.AUTO),
        ("off", "", PagingMode.OFF),
        ("", "1", PagingMode.ON),
    ],
)
def test_paging_is_auto_on_or_off_in_every_spelling(tmp_path, written, variable, mode):
    environ = {} if variable is None else {"OTELMON_PAGING": variable}
    assert settings(tmp_path, f"paging: {written}\n", **environ).paging is mode


@pytest.mark.parametrize(
    ("environ", "disabled_by"),
    [
        ({}, None),
        ({"OTELMON_ENABLED": "true"}, None),
        ({"OTEL_SDK_DISABLED": "false"}, None),
        ({"OTEL_SDK_DISABLED": "1"}, None),
        ({"OTELMON_ENABLED": "false"}, "OTELMON_ENABLED"),
        ({"OTELMON_ENABLED": "OFF"}, "OTELMON_ENABLED"),
        ({"OTEL_SDK_DISABLED": "True"}, "OTEL_SDK_DISABLED"),
    ],
)
def test_a_variable_switches_everything_off(tmp_path, environ, disabled_by):
    found = settings(tmp_path, "", **environ)
    assert (found.enabled, found.disabled_by) == (disabled_by is None, disabled_by)


def test_the_switch_works_where_the_configuration_is_broken(tmp_path):
    found = settings(tmp_path, "alerts: [", OTELMON_ENABLED="false", DISCORD_WEBHOOK_URL="nonsense")
    assert not found.enabled
    assert found.groups == ()


def test_state_is_kept_where_it_is_told(tmp_path):
    assert settings(tmp_path, "service: a/b c\n").state_dir == Path("/home/a/.local/state/otelmon/a_b_c")
    assert settings(tmp_path, "service: ..\n").state_dir == Path("/home/a/.local/state/otelmon/_")
    assert settings(tmp_path, "service: s\n", XDG_STATE_HOME="/x").state_dir == Path("/x/otelmon/s")
    assert settings(tmp_path, "service: s\nstate_dir: ~/t\n").state_dir == Path("/home/a/t/s")
    assert settings(tmp_path, "service: s\nstate_dir: state\n").state_dir == tmp_path / "state" / "s"
    assert settings(tmp_path, "service: s\nstate_dir: state\n", OTELMON_STATE_DIR="/y").state_dir == Path("/y/s")
    (tmp_path / "otelmon.yaml").write_text("")
    homeless = load_settings(None, environ={"OTEL_SERVICE_NAME": "s"}, directory=tmp_path)
    assert homeless.state_dir == Path(tempfile.gettempdir(), "otelmon", "s")


@pytest.mark.parametrize(
    "url",
    [
        WEBHOOK,
        WEBHOOK.replace("discord.com", "ptb.discord.com"),
        WEBHOOK.replace("discord.com", "discordapp.com"),
        WEBHOOK.replace("/api/", "/api/v10/"),
        WEBHOOK + "?thread_id=123456789012345678",
        "http://127.0.0.1:8000/api/webhooks/1/t",
        "http://[::1]:8000/api/webhooks/1/t",
    ],
)
def test_the_addresses_that_discord_gives_are_taken(tmp_path, url):
    secret = settings(tmp_path, f"discord: {{webhook_url: '{url}'}}").discord.webhook_url
    assert secret is not None
    assert secret.get_secret_value() == url


def test_no_repr_shows_the_webhook(tmp_path):
    found = settings(tmp_path, "", DISCORD_WEBHOOK_URL=WEBHOOK)
    for shown in (repr(found), str(found), repr(found.discord), found.model_dump_json(exclude={"groups"})):
        assert "aBcDeF" not in shown


def test_mentions_are_roles_and_users_by_severity(tmp_path):
    text = """
discord:
  mention:
    critical: [role: 123456789012345678, user: 234567890123456789, role: "123456789012345678"]
    warning: []
    info:
      - user: 234567890123456789
"""
    found = settings(tmp_path, text)
    assert dict(found.discord.mention) == {Severity.CRITICAL: (ROLE, USER), Severity.INFO: (USER,)}


def test_a_role_in_the_environment_is_pinged_for_critical_beside_those_of_the_file(tmp_path):
    assert dict(settings(tmp_path, "", DISCORD_ROLE_ID=ROLE.id).discord.mention) == {Severity.CRITICAL: (ROLE,)}
    text = "discord: {mention: {critical: [user: 234567890123456789]}}"
    found = settings(tmp_path, text, DISCORD_ROLE_ID=ROLE.id)
    assert found.discord.mention[Severity.CRITICAL] == (USER, ROLE)


def test_a_variable_that_is_set_to_nothing_mentions_nobody(tmp_path):
    text = "discord: {webhook_url: '${W:-}', mention: {critical: [role: '${R:-}']}}"
    found = settings(tmp_path, text, W="")
    assert (found.discord.webhook_url, dict(found.discord.mention)) == (None, {})


def test_rule_files_are_found_from_the_configuration_file_on(tmp_path):
    (tmp_path / "rules").mkdir()
    for name in ("b", "a"):
        rules = f"[{{alert: {name}_down, expr: up == 0}}, {{record: r:{name}, expr: up}}]"
        text = f"groups: [{{name: {name}, rules: {rules}}}]"
        (tmp_path / "rules" / f"{name}.yml").write_text(text)
    text = "rule_files: [rules/*.yml, rules/a.yml]\n"
    found = settings(tmp_path, text)
    assert [path.name for path in found.rule_files] == ["a.yml", "b.yml"]
    assert [group.name for group in found.groups] == ["otelmon", "a", "b"]
    assert isinstance(found.groups[1].rules[1], RecordingRule)
    assert found.alerting_rule("b_down") is not None
    assert found.alerting_rule("nobody") is None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = load_settings(tmp_path / "otelmon.yaml", environ=HOME, directory=elsewhere)
    assert again.rule_files == found.rule_files
    absolute = settings(tmp_path, f"rule_files: '{tmp_path}/rules/*.yml'\n")
    assert absolute.rule_files == found.rule_files


def test_headings_with_nothing_below_are_as_if_they_were_not_there(tmp_path):
    found = settings(tmp_path, "service:\ndiscord:\nalerts:\nrule_files:\ninterval:\n")
    assert found.service == tmp_path.name
    assert found.interval_seconds == 15.0
    assert settings(tmp_path, "discord: {webhook_url: , mention: {critical: }}").discord.webhook_url is None


def test_the_instance_is_the_host_unless_it_is_declared(tmp_path):
    assert settings(tmp_path, "instance: web-1\n").instance == "web-1"
    assert (
        settings(tmp_path, "instance: web-1\n", OTEL_RESOURCE_ATTRIBUTES="service.instance.id=pod-7").instance
        == "pod-7"
    )


@pytest.mark.parametrize("kind", ["directory", "link"])
def test_an_otelmon_yaml_that_is_no_file_is_no_reason_to_start_without_one(tmp_path, kind):
    path = tmp_path / "otelmon.yaml"
    path.mkdir() if kind == "directory" else path.symlink_to(tmp_path / "gone")
    said = "is a directory, not a file" if kind == "directory" else "no such file"
    with pytest.raises(ConfigError, match=f"otelmon.yaml: {said}"):
        find_config(None, environ={}, directory=tmp_path)
    with pytest.raises(ConfigError, match=said):
        find_config(path, environ={}, directory=tmp_path)


def test_the_file_is_named_by_the_caller_then_by_the_environment_then_found(tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("service: other\n")
    assert find_config(None, environ={}, directory=tmp_path) is None
    (tmp_path / "otelmon.yml").write_text("")
    assert find_config(None, environ={}, directory=tmp_path) == tmp_path / "otelmon.yml"
    assert find_config(None, environ={"OTELMON_CONFIG": str(other)}, directory=tmp_path) == other
    assert find_config(str(other), environ={"OTELMON_CONFIG": "x"}, directory=tmp_path) == other
    assert settings(tmp_path, None, OTELMON_CONFIG=str(other)).config_file == other


def test_settings_do_not_change(tmp_path):
    found = settings(tmp_path, "")
    with pytest.raises(ValueError, match="frozen"):
        found.service = "other"


def test_reading_the_configuration_loads_no_heavy_library():
    import subprocess
    import sys

    script = (
        "import sys, otelmon.config.load, otelmon.rules.builtin as b; b.builtins();"
        "print([m for m in ('numpy', 'sqlalchemy', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_url_has_no_slash_at_its_end(tmp_path):
    assert settings(tmp_path, "public_url: https://shop.example.com/\n").public_url == "https://shop.example.com"
    assert settings(tmp_path, "public_url: http://shop.example.com:8443/a/b\n").public_url.endswith(":8443/a/b")
    assert settings(tmp_path, "public_url: ${SHOP_URL:-}\n").public_url is None
