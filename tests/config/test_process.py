"""What is done with metrics that come in, and every way of writing it wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.config.load import load_settings
from otelmon.config.process import Drop, Keep, Limit, Promote, Redact, RenameLabel, RenameMetric, Step
from otelmon.errors import ConfigError
from otelmon.labels import METRIC_NAME
from otelmon.matching import Matcher, MatchOperator

GOOD = """
process:
  - drop: queue_jobs
  - keep: ['job=~"shop|pay"', '{kind!="a", __name__="b"}']
  - rename: {metric: old.name, to: new.name}
  - rename: {label: userid, to: user.id, match: 'kind="a"'}
  - redact: {labels: [user.mail, user.name], with: '***'}
  - promote: deployment.environment.name
  - limit: {series: 2000}
"""


def steps(directory: Path, text: str) -> tuple[Step, ...]:
    (directory / "otelmon.yaml").write_text(text, encoding="utf-8")
    return load_settings(None, environ={"HOME": "/home/a"}, directory=directory).process.steps


def matcher(name: str, value: str, operator: str = "=") -> Matcher:
    return Matcher(name=name, operator=MatchOperator(operator), value=value)


def test_steps_are_read_in_their_order(tmp_path: Path) -> None:
    assert steps(tmp_path, GOOD) == (
        Drop(matchers=(matcher(METRIC_NAME, "queue_jobs"),)),
        Keep(matchers=(matcher("job", "shop|pay", "=~"), matcher("kind", "a", "!="), matcher(METRIC_NAME, "b"))),
        RenameMetric(metric="old.name", to="new.name"),
        RenameLabel(matchers=(matcher("kind", "a"),), label="userid", to="user.id"),
        Redact(matchers=(), labels=("user.mail", "user.name"), replacement="***"),
        Promote(attributes=("deployment.environment.name",)),
        Limit(matchers=(), series=2000),
    )
    assert steps(tmp_path, "process:\n") == steps(tmp_path, "process: []\n") == ()


P = "process: ["
# (what is written, where the error points, the key and what it says)
BAD = [
    ("process: drop", ":1:10", "process: a list expected, not 'drop'"),
    (P + "drop]", ":1:11", "process[1]: a step expected, not 'drop'; write one of drop, keep, rename, redact"),
    (P + "{}]", ":1:11", "process[1]: a step expected"),
    (P + "{dorp: a}]", ":1:12", 'process[1].dorp: unknown key; did you mean "drop"?'),
    (P + "{drop: a, keep: b}]", ":1:11", "process[1]: drop and keep are two steps; write - before each"),
    (P + "{drop: }]", ":1:12", "process[1].drop: matchers expected; write a metric's name, or matchers such as"),
    (P + "{drop: [[a]]}]", ":1:18", "process[1].drop: matchers expected"),
    (P + "{drop: 'a=~\"(\"'}]", ":1:18", "process[1].drop: a: "),
    (P + "{drop: 'a=b c'}]", ":1:18", "process[1].drop: 'a=b c': put the value of a in \"quotes\""),
    (P + "{drop: 'a!=b'}]", ":1:18", "process[1].drop: these matchers take everything; leave the step out"),
    (P + "{limit: {series: 9, match: 'a=\"\"'}}]", ":1:38", "process[1].limit.match: these matchers take everything"),
    (P + "{limit: {}}]", ":1:19", "process[1].limit.series: nothing says how many; write {series: 2000}"),
    (P + "{limit: {series: 0}}]", ":1:28", "process[1].limit.series: '0' is out of bounds; write a number of 1 to"),
    (P + "{limit: 5}]", ":1:19", "process[1].limit: a section of keys expected, not '5'"),
    (P + "{rename: {to: b}}]", ":1:20", "process[1].rename: neither a metric nor a label; write {metric: a, to: b}"),
    (P + "{rename: {metric: a, label: b, to: c}}]", ":1:20", "process[1].rename: a metric and a label"),
    (P + "{rename: {metric: a}}]", ":1:20", "process[1].rename.to: a name is missing; write to: NAME"),
    (P + "{rename: {metric: a, to: 'b c'}}]", ":1:36", "process[1].rename.to: 'b c' is no name"),
    (P + "{rename: {metric: a, to: b, match: c}}]", ":1:46", "process[1].rename.match: is for labels"),
    (P + "{rename: {label: a, to: job}}]", ":1:35", "process[1].rename.to: job tells services and instances apart"),
    (P + "{redact: {match: a}}]", ":1:20", "process[1].redact.labels: nothing says which labels"),
    (P + "{redact: {labels: []}}]", ":1:29", "process[1].redact.labels: a label is missing"),
    (P + "{redact: {labels: ['a b']}}]", ":1:30", "process[1].redact.labels: 'a b' is not the name of a label"),
    (P + "{redact: {labels: [service.instance.id]}}]", ":1:29", "service.instance.id tells services and"),
    (P + "{redact: {labels: [a], value: b}}]", ":1:34", "process[1].redact.value: unknown key; known here: labels"),
    (P + "{promote: {a: b}}]", ":1:21", "process[1].promote: a section of keys is not the name of an attribute"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "said"), BAD, ids=[text for text, _, _ in BAD])
def test_what_cannot_be_meant_is_told_with_its_place(text: str, place: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        steps(tmp_path, text)
    message = str(raised.value)
    assert message.count("\n") == 0, message
    assert message.startswith(f"{tmp_path / 'otelmon.yaml'}{place}: "), message
    assert said in message
