"""Every way of getting group_by, inhibit and the times of incidents wrong is told with line, key and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.config.load import load_settings
from otelmon.errors import ConfigError

LABEL = "write the name of a label, such as job or http_route"
MATCHER = 'write an alert\'s name, or matchers such as job="shop"'
BY_SEVERITY = "write {critical: 30m, warning: 4h}, or off for one of them"
ITEMS = "write each item on its own line after '- '"
# (what is written, where the error points, what it says)
BAD = [
    ("group_by: 'http route'", ":1:11", f"group_by: 'http route' is no label; {LABEL}"),
    ("group_by: [job, '']", ":1:17", f"group_by: '' is no label; {LABEL}"),
    ("group_by: [[job]]", ":1:12", f"group_by: text expected, not a list; {LABEL}"),
    ("group_by: {a: b}", ":1:11", f"group_by: text expected, not a section of keys; {LABEL}"),
    ("group_by: []", ":1:11", f"group_by: a label is missing; {LABEL}"),
    ("inhibit: redis", ":1:10", f"inhibit: a list expected, not 'redis'; {ITEMS}"),
    ("inhibit: yes", ":1:10", f"inhibit: a list expected, not 'yes'; {ITEMS}"),
    ("inhibit: {source: a, target: b}", ":1:10", f"inhibit: a list expected, not a section of keys; {ITEMS}"),
    (
        "inhibit: [redis]",
        ":1:11",
        "inhibit[1]: a section of keys expected, not 'redis'; write - {source: health_check, target: response_time",
    ),
    ("inhibit: [{source: redis}]", ":1:11", f"inhibit[1].target: target is missing; {MATCHER}"),
    ("inhibit:\n  - {source: [], target: b}", ":2:14", f"inhibit[1].source: source is missing; {MATCHER}"),
    ("inhibit: [{source: , target: b}]", ":1:19", f"inhibit[1].source: text expected, not nothing; {MATCHER}"),
    ("inhibit: [{source: [[a]], target: b}]", ":1:21", f"inhibit[1].source: text expected, not a list; {MATCHER}"),
    ("inhibit: [{source: 'a=~(', target: b}]", ":1:20", "inhibit[1].source: a: missing closing )"),
    ("inhibit: [{source: a!=b, target: c}]", ":1:20", "inhibit[1].source: one matcher at least has to ask for a value"),
    ("inhibit: [{source: a, target: b, equal: 'a b'}]", ":1:41", f"inhibit[1].equal: 'a b' is no label; {LABEL}"),
    (
        "inhibit: [{source: a, target: b, equals: [job]}]",
        ":1:34",
        'inhibit[1].equals: unknown key; did you mean "equal"?',
    ),
    ("ack_timeout: 60", ":1:14", "ack_timeout: '60' is no duration; a number needs its unit"),
    ("ack_timeout: 10s", ":1:14", "ack_timeout: '10s' is out of bounds; write at least 1m and at most 30d"),
    ("ack_timeout: never", ":1:14", "ack_timeout: 'never' is no duration; write 30s, 5m or 1h30m"),
    ("ack_timeout: on", ":1:14", "ack_timeout: 'on' is no duration; write 30s, 5m or 1h30m"),
    ("ack_timeout: [1h]", ":1:14", "ack_timeout: a duration expected, not a list; write 30s, 5m or 1h30m"),
    ("repeat_every: 4h", ":1:15", f"repeat_every: durations by severity expected, not '4h'; {BY_SEVERITY}"),
    ("repeat_every: off", ":1:15", f"repeat_every: durations by severity expected, not 'off'; {BY_SEVERITY}"),
    ("repeat_every: [1h]", ":1:15", f"repeat_every: durations by severity expected, not a list; {BY_SEVERITY}"),
    ("repeat_every: {fatal: 1h}", ":1:16", "repeat_every.fatal: unknown key; known here: critical, warning, info"),
    ("repeat_every: {critical: 5}", ":1:26", "repeat_every.critical: '5' is no duration; a number needs its unit"),
    ("repeat_every:\n  warning: 10s", ":2:12", "repeat_every.warning: '10s' is out of bounds; write at least 1m and"),
    ("reopen_within: 10", ":1:16", "reopen_within: '10' is no duration; a number needs its unit: write 10s"),
    ("reopen_within: 2d", ":1:16", "reopen_within: '2d' is out of bounds; write at most 1d"),
    ("reopen_within: off", ":1:16", "reopen_within: 'off' is no duration; write 30s, 5m or 1h30m"),
    ("storm_after: 0", ":1:14", "storm_after: '0' is out of bounds; write a number of 1 to 1000"),
    ("storm_after: 2.5", ":1:14", "storm_after: a whole number expected, not '2.5'"),
    ("storm_after: many", ":1:14", "storm_after: a whole number expected, not 'many'"),
    ("storm_after: [5]", ":1:14", "storm_after: a whole number expected, not a list"),
    ("silence_notice: 15", ":1:17", "silence_notice: '15' is no duration; a number needs its unit: write 15s"),
    ("silence_notice: 10s", ":1:17", "silence_notice: '10s' is out of bounds; write at least 1m and at most 1d"),
    ("silence_notice: {a: b}", ":1:17", "silence_notice: a duration expected, not a section of keys; write 30s"),
    ("storm_within: 1m", ":1:1", "storm_within: unknown key; did you mean"),
]


@pytest.mark.parametrize(("text", "where", "said"), BAD)
def test_what_cannot_be_meant_is_told_with_its_place_and_what_to_write(
    tmp_path: Path, text: str, where: str, said: str
) -> None:
    path = tmp_path / "otelmon.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_settings(path, environ={"HOME": "/home/a"}, directory=tmp_path)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{path}{where}: {said}")


@pytest.mark.parametrize(
    "text",
    [
        "group_by:",
        "inhibit: off",
        "inhibit: []",
        "inhibit: [{source: a, target: [b, job=shop], equal: []}]",
        "ack_timeout: off",
        "repeat_every: {info: 1d, critical: off}",
        "reopen_within: 0s",
        "storm_after: 1",
    ],
)
def test_what_can_be_meant_is_taken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "otelmon.yaml"
    path.write_text(text, encoding="utf-8")
    load_settings(path, environ={"HOME": "/home/a"}, directory=tmp_path)
