"""Whatever is done to a rule file or an expression gives a clear error or a value."""

from __future__ import annotations

import random

from otelmon.errors import ConfigError, PromQLError
from otelmon.promql.evaluation import Evaluation, Failed
from otelmon.promql.query import Query
from otelmon.promql.supported import check_supported
from otelmon.rules.builtin import builtin_text
from otelmon.rules.load import load_rules
from otelmon.sample import Sample
from otelmon.window.window import Window
from tests.conformance.measured import START, Expressions, points

PARTS = [
    "{", "}", "[", "]", "(", ")", ":", "- ", "\n", "  ", '"', "'", "\\", "|", "#", "&a", "*a", "!!", "%", "\t", "\x00",
    "\ud7ff", "é", "{{", "}}", "groups:", "expr:", "alert:", "for: ", "1e999", "-1", "5m", "null", "@", "offset", "by",
    "sum", "=~", "(((", "NaN", "Inf", "<<:", "? ", "...", "---", "~", "and", "[5m:1m]", "start()", "$1", "0x", "_", ",",
]  # fmt: skip


def mutated(chance: random.Random, text: str) -> str:
    for _ in range(chance.randint(1, 4)):
        at, end = sorted((chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)))
        match chance.randrange(5):
            case 0:
                text = text[:at] + text[min(end, at + 8) :]
            case 1:
                text = text[:at] + chance.choice(PARTS) + text[at:]
            case 2:
                text = text[:at] + text[at:end][:60] + text[at:]
            case 3:
                text = text[:at] + chance.choice(PARTS) + text[at + 1 :]
            case _:
                text = text[:at] + text[at:end][::-1][:20] + text[end:]
    return text


def test_broken_rule_files_give_errors_with_their_place() -> None:
    chance, wrong = random.Random(11), 0
    whole = builtin_text()
    for _ in range(200):
        start = whole.index("groups:")
        try:
            load_rules(mutated(chance, whole[start : start + 3000]), name="broken.yml")
        except ConfigError as error:
            wrong += 1
            for problem in error.problems:
                assert problem.file == "broken.yml"
                assert problem.message
                assert problem.line is not None, problem
    assert wrong > 100


def test_mutated_expressions_give_errors_with_their_place_or_values() -> None:
    chance, expressions = random.Random(12), Expressions(12)
    window, valued = Window(retention_seconds=10_000), 0
    window.append(
        Sample(labels=labels, at=at, value=value) for labels, found in points(12).items() for at, value in found
    )
    places: list[tuple[int, int, str]] = []
    for _ in range(2000):
        text = mutated(chance, expressions.expression())
        try:
            query = Query(text, most_samples=200_000)
            check_supported(query.expr, text)
        except PromQLError as error:
            places.append((error.line, error.column, error.message))
            continue
        result = query.evaluate(window, START + 4000.625)
        assert isinstance(result, Evaluation | Failed)
        valued += isinstance(result, Evaluation)
    assert valued > 100
    assert all(line >= 1 and column >= 1 and message for line, column, message in places)


def test_an_evaluation_that_looks_at_too_much_is_refused_with_the_bound() -> None:
    window = Window(retention_seconds=10_000)
    window.append(
        Sample(labels=labels, at=at, value=value) for labels, found in points(1).items() for at, value in found
    )
    refused = Query("sum(rate(requests_total[1h]))", most_samples=1000).evaluate(window, START + 4000)
    assert refused == Failed(reason="the expression selects more than 1000 samples")
    many = Query("max_over_time(vector(1)[100y:1ms])").evaluate(window, START + 4000)
    assert many == Failed(reason="the expression selects more than 50000000 samples")
