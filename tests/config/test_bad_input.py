"""Whatever cannot be meant is told with file, line and key, and with what to write instead."""

from pathlib import Path

import pytest

from otelmon.config.load import load_settings
from otelmon.errors import ConfigError

F = "otelmon.yaml"
# (what is written, where the error points, the key and what it says)
BAD = [
    ("servce: shop", ":1:1", 'servce: unknown key; did you mean "service"?'),
    ("monitoring:", ":1:1", "monitoring: unknown key; known here: service, environment, paging"),
    ("- service", ":1:1", "a section of keys expected, not a list; see `otelmon init`"),
    ("just words", ":1:1", "a section of keys expected, not 'just words'"),
    ("service: [a]", ":1:10", "service: text expected, not a list"),
    ("service: a\nservice: b", ":2:1", "'service' is given twice, first in line 1; keep one of them"),
    ("service:\n\tname: a", ":2:1", "a tab where YAML wants spaces; indent with spaces"),
    ("service: 'a", ":1:12", "found unexpected end of stream"),
    (
        "service: ${NOT_SET}",
        ":1:10",
        "the environment variable NOT_SET is not set; set it, or write ${NOT_SET:-default}",
    ),
    ("interval: 15", ":1:11", "interval: '15' is no duration; a number needs its unit: write 15s for seconds"),
    ("interval: 100ms", ":1:11", "interval: '100ms' is out of bounds; write at least 1s and at most 1h"),
    ("interval: 2h", ":1:11", "interval: '2h' is out of bounds"),
    ("interval: often", ":1:11", "interval: 'often' is no duration; write 30s, 5m or 1h30m"),
    ("interval: {a: b}", ":1:11", "interval: a duration expected, not a section of keys"),
    ("paging: maybe", ":1:9", "paging: 'maybe' is not known here; write auto, on or off"),
    ("paging: [on]", ":1:9", "paging: a list is not known here; write auto, on or off"),
    ("max_series: 1", ":1:13", "max_series: '1' is out of bounds; write a number of 100 to 10000000"),
    ("max_series: lots", ":1:13", "max_series: a whole number expected, not 'lots'"),
    ("exclude_paths: [health]", ":1:17", "exclude_paths: 'health' is no path; write a path such as /health"),
    ("exclude_paths: ['/a*b']", ":1:17", "exclude_paths: '/a*b' is no path"),
    ("exclude_paths: {a: b}", ":1:16", "exclude_paths: a list expected, not a section of keys"),
    ("exclude_paths: [[a]]", ":1:17", "exclude_paths: text expected, not a list"),
    ("trace_url: https://tempo.example.com/trace", ":1:12", "trace_url: leads to the same page for every trace; write"),
    ("trace_url: tempo/{trace_id}", ":1:12", "trace_url: is no address of a web page"),
    ("runbook_base_url: wiki/runbooks", ":1:19", "runbook_base_url: is no address of a web page; write https://..."),
    ("runbook_base_url: 'https://[x'", ":1:19", "runbook_base_url: is no address of a web page"),
    ("public_url: shop.example.com", ":1:13", "public_url: is no address of a web page; write https://..."),
    (
        "public_url: https://shop.example.com/?a=1",
        ":1:13",
        "public_url: has more than an address and a path; write only",
    ),
    ("public_url: https://ada:pw@shop.example.com", ":1:13", "public_url: has more than an address and a path"),
    (
        "public_url: https://shop.example.com/" + 300 * "a",
        ":1:13",
        "public_url: is longer than 300 characters",
    ),
    ("rule_files: [gone.yml]", ":1:14", "rule_files: 'gone.yml' matches no file; paths are relative to"),
    ("rule_files: [rules/*.yml]", ":1:14", "rule_files: 'rules/*.yml' matches no file"),
    ("discord: https://discord.com/x", ":1:10", "discord: a section of keys expected, not 'https://...'"),
    ("discord: {webhook: a}", ":1:11", 'discord.webhook: unknown key; did you mean "webhook_url"?'),
    ("discord:\n  webhook_url: http://example.com", ":2:16", "is not the URL of a Discord webhook; copy it from"),
    ("discord: {mention: [a]}", ":1:20", "discord.mention: a section of keys expected, not a list"),
    ("discord: {mention: {urgent: []}}", ":1:21", "discord.mention.urgent: unknown key; known here: critical, warning"),
    ("discord: {mention: {critical: {role: 1}}}", ":1:31", "discord.mention.critical: a list expected"),
    ("discord: {mention: {critical: ['<@1>']}}", ":1:32", "a role or a user expected, not '<@1>'; write - role: ID"),
    ("discord: {mention: {critical: [role: 12]}}", ":1:38", "discord.mention.critical.role: '12' is no id of Discord"),
    ("discord: {mention: {critical: [roel: 12]}}", ":1:32", 'neither a role nor a user; did you mean "role"?'),
    ("alerts: off", ":1:9", "alerts: a section of alerts expected, not 'off'"),
    ("alerts:\n  error_rate: 5", ":2:15", "alerts.error_rate: 5 is no ratio; write 0.05 or 5%"),
    ("alerts:\n  error_rate: {threshold: 5}", ":2:27", "alerts.error_rate.threshold: 5 is no ratio; write 0.05 or 5%"),
    ("alerts:\n  error_rate: -0.1", ":2:15", "alerts.error_rate: -0.1 is negative; write 0.05 or 5%"),
    ("alerts:\n  error_rate: .nan", ":2:15", "alerts.error_rate: .nan is no threshold"),
    ("alerts:\n  error_rate:", ":2:3", "alerts.error_rate: nothing is written here; write on, off, a threshold"),
    ("alerts:\n  error_rate: [5%]", ":2:15", "alerts.error_rate: a list is no alert; write on, off, a threshold or"),
    ("alerts:\n  error_rate: {threshold: }", ":2:16", "alerts.error_rate.threshold: a value expected, not nothing"),
    ("alerts:\n  eror_rate: 5%", ":2:3", 'it has no expr; did you mean "error_rate"?'),
    ("alerts:\n  eror_rate: off", ":2:3", 'it has no expr; did you mean "error_rate"?'),
    ("alerts:\n  carts: {threshold: 5}", ":2:3", "a rule of your own needs expr:; built in are error_rate"),
    ("alerts:\n  error_rate: {treshold: 5%}", ":2:16", 'treshold: unknown key; did you mean "threshold"?'),
    ("alerts:\n  error_rate: {percentile: 95}", ":2:16", "alerts.error_rate.percentile: unknown key; known here:"),
    ("alerts:\n  disk_usage: {at_least: 5}", ":2:16", "alerts.disk_usage.at_least: unknown key"),
    ("alerts:\n  error_rate: {severity: fatal}", ":2:26", "'fatal' is not known here; write critical, warning or info"),
    ("alerts:\n  error_rate: {severity: critcal}", ":2:26", 'did you mean "critical"?'),
    ("alerts:\n  error_rate: {window: 300}", ":2:24", "'300' is no duration; a number needs its unit: write 5m"),
    ("alerts:\n  error_rate: {window: 20s}", ":2:24", "'20s' is out of bounds; write at least 30s and at most 1d"),
    ("alerts:\n  error_rate: {window: 2d}", ":2:24", "'2d' is out of bounds; write at least 30s and at most 1d"),
    ("alerts:\n  error_rate: {for: -1m}", ":2:21", "'-1m' is no duration"),
    ("alerts:\n  error_rate: {at_least: few}", ":2:26", "few is no threshold; write a number"),
    ("alerts:\n  error_rate: {enabled: maybe}", ":2:25", "'maybe' is neither true nor false; write true or false"),
    (
        "alerts:\n  error_rate: {expr: up}",
        ":2:16",
        "alerts.error_rate.expr: the expression of a built-in alert is fixed",
    ),
    ("alerts:\n  error_rate: {labels: {severity: x}}", ":2:24", "severity is a key of its own; write severity: x"),
    ("alerts:\n  error_rate: {summary: '{{ $val }}'}", ":2:29", "template: there is no variable $val"),
    ("alerts:\n  disk_usage: 0.85", ":2:15", "alerts.disk_usage: 0.85 is no percentage; write 85 or 85%"),
    ("alerts:\n  disk_usage: 100", ":2:15", "100 can never be exceeded; write less than 100"),
    ("alerts:\n  disk_usage: {window: 5m, for: 5m}", ":2:24", "window and for are the same here; this alert looks at"),
    ("alerts:\n  response_time: 1", ":2:18", "1 would be 1 ms; write 1s or 1000, or 1ms if that is meant"),
    ("alerts:\n  response_time: {percentile: 0.95}", ":2:31", "0.95 is no percentile; write 95"),
    ("alerts:\n  a: {expr: 'sum(up'}", ":2:17", "alerts.a.expr: "),
    ("alerts:\n  a:\n    expr: |\n      up ==\n        rate(up)", ":5:14", "alerts.a.expr: "),
    ("alerts:\n  a: {expr: 'up[5m]'}", ":2:13", "a range of them; put a function around it"),
    ("alerts:\n  a: {expr: }", ":2:7", "alerts.a.expr: a value expected, not nothing"),
    (
        "alerts:\n  a: {expr: 'rate(x[20s]) > 1'}",
        ":2:21",
        "a window of 20s holds less than two samples, taken every 15s",
    ),
    (
        "alerts:\n  a: {expr: '{\"my.counter\"} > 1'}",
        ":2:15",
        "write its Prometheus name: my_counter_total for a counter",
    ),
    ("alerts:\n  a: {expr: up, unit: miles}", ":2:23", "'miles' is not known here; write ratio, percent"),
    ("alerts:\n  a: {expr: up, threshold: 5}", ":2:17", "alerts.a.threshold: unknown key"),
    ("alerts:\n  a: {expr: up, labels: {__name__: b}}", ":2:36", "'__name__' cannot be set as a label"),
]


def load(directory: Path, text: str, environ: dict[str, str] | None = None) -> str:
    (directory / F).write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_settings(None, environ={"HOME": "/home/a", **(environ or {})}, directory=directory)
    return str(raised.value)


@pytest.mark.parametrize(("text", "place", "said"), BAD, ids=[text.replace("\n", " ") for text, _, _ in BAD])
def test_what_cannot_be_meant_is_told_with_its_place(tmp_path, text, place, said):
    message = load(tmp_path, text)
    assert message.count("\n") == 0, "one fault gives one message"
    assert message.startswith(f"{tmp_path / F}{place}: "), message
    assert said in message, message


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "DISCORD_WEBHOOK_URL",
            "https://example.com/s3cret",
            "is not the URL of a Discord webhook; copy it from the ch",
        ),
        (
            "DISCORD_WEBHOOK_URL",
            "https://discord.com/api/webhooks/12345678901234567/s3cret",
            "is not a whole webhook URL",
        ),
        ("DISCORD_WEBHOOK_URL", "http://discord.com/api/webhooks/1/s3cret", "has to begin with https://"),
        (
            "DISCORD_WEBHOOK_URL",
            "https://discord.com/channels/1/s3cret",
            "is the address of a channel, not of a webhook",
        ),
        ("DISCORD_WEBHOOK_URL", "'https://s3cret'", "has quotes around it that are part of the value"),
        ("DISCORD_WEBHOOK_URL", "http://10.0.0.1/api/webhooks/1/s3cret", "is not"),
        ("DISCORD_ROLE_ID", "@oncall-s3cret", "is no id of a role; set it to its 17 to 20 digits"),
        ("OTELMON_PAGING", "s3cret", "is not known here; set it to auto, on or off"),
        ("OTELMON_ENABLED", "s3cret", "is neither true nor false; set it to true or false"),
        ("OTELMON_CONFIG", "gone.yaml", "names 'gone.yaml', and there is no such file"),
        ("OTEL_SERVICE_NAME", "a\x1bs3cret", "the service name is longer than 200 characters or has control"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_named_and_its_value_never_shown(tmp_path, name, value, said):
    with pytest.raises(ConfigError) as raised:
        load_settings(None, environ={"HOME": "/home/a", name: value}, directory=tmp_path)
    message = str(raised.value)
    assert message.startswith(f"{name}: ")
    assert said in message
    assert "s3cret" not in message


def test_a_webhook_in_the_file_is_never_shown(tmp_path):
    url = "https://discord.example.com/api/webhooks/123456789012345678/s3cret-token"
    for text in (f"discord: {{webhook_url: '{url}'}}", f"discord: '{url}'", f"paging: '{url}'", f"interval: '{url}'"):
        assert "s3cret" not in load(tmp_path, text)
    variable = {"URL": url}
    assert "s3cret" not in load(tmp_path, "discord: {webhook_url: '${URL}'}\npaging: '${URL}'", variable)


def test_every_fault_is_told_at_once_in_the_order_of_the_lines(tmp_path):
    message = load(
        tmp_path,
        "alerts:\n  error_rate: 5\n  a: {expr: 'sum('}\npaging: maybe\ninterval: 5\nwho: me\n",
        {"DISCORD_ROLE_ID": "x"},
    )
    lines = message.split("\n")
    assert [line.split(":")[1] for line in lines[:5]] == ["2", "3", "4", "5", "6"]
    assert lines[5].startswith("DISCORD_ROLE_ID: ")
    assert len(lines) == 6


def test_faults_of_a_rule_file_are_told_with_its_own_name(tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yml").write_text("groups:\n  - name: a\n    rules:\n      - {alert: A, expr: 'up ==='}\n")
    message = load(tmp_path, "rule_files: rules/*.yml\npaging: maybe\n")
    assert f"{tmp_path}/rules/a.yml:4:" in message
    assert f"{tmp_path}/otelmon.yaml:2:9: paging" in message


def test_an_alert_name_stands_for_one_rule(tmp_path):
    (tmp_path / "a.yml").write_text("groups:\n  - name: a\n    rules:\n      - {alert: error_rate, expr: up == 0}\n")
    message = load(tmp_path, "rule_files: [a.yml]\n")
    assert message.startswith(f"{tmp_path}/a.yml:4: the alert 'error_rate' is there already (")
    assert "otelmon/rules/builtin.yml:" in message


def test_two_configuration_files_are_one_too_many(tmp_path):
    (tmp_path / "otelmon.yml").write_text("")
    assert "there is otelmon.yaml and otelmon.yml; keep one of them" in load(tmp_path, "")


def test_a_named_file_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such file"):
        load_settings(tmp_path / "gone.yaml", environ={}, directory=tmp_path)
    with pytest.raises(ConfigError, match="no such file"):
        load_settings("nul\0byte", environ={}, directory=tmp_path)
