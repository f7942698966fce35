"""What a template asks of the data is known beforehand where it is written out, so that the data are kept for it."""

from __future__ import annotations

import pytest

from otelmon.rules.load import load_rules
from otelmon.rules.template import queries
from otelmon.runtime.evaluate import rule_lookbacks


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nothing", ()),
        ('{{ query "sum(up)" | first | value }}', ("sum(up)",)),
        ('{{ "up[1h:]" | query }}', ("up[1h:]",)),
        ('{{ with query "a" }}{{ range query "b" }}{{ end }}{{ else }}{{ query "c" }}{{ end }}', ("a", "b", "c")),
        ('{{ (query "a" | first).Value }}', ("a",)),
        ('{{ query (printf "rate(x{job=%q}[1h])" $labels.job) }}', ('rate(x{job="x"}[1h])',)),
        ("{{ printf \"x{job='%s'}\" $labels.job | query }}", ("x{job='x'}",)),
        ("{{ query $labels.expr }}", ()),
        ("{{ query ", ()),
    ],
)
def test_the_expressions_of_a_template_are_found(text: str, found: tuple[str, ...]) -> None:
    assert queries(text) == found


def test_samples_are_kept_for_what_templates_ask() -> None:
    text = """
groups:
  - name: a
    rules:
      - alert: b
        expr: up == 0
        annotations: {summary: '{{ query "max_over_time(up[2h])" | first | value }}', odd: '{{ query "up[" }}'}
"""
    (group,) = load_rules(text, name="rules.yml")
    assert max(seconds for _, seconds in rule_lookbacks(group.rules[0])) == 7200
