"""Which selectors of an expression find nothing that it counts on."""

from __future__ import annotations

import pytest

from otelmon.promql.parse import parse
from otelmon.promql.unmatched import unmatched


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("gone > 1", ["gone"]),
        ("there > 1", []),
        ("rate(gone[5m]) / rate(there[5m])", ["gone"]),
        ("there and on (job) gone{a='b'}", ["gone"]),
        ("absent(gone)", []),
        ("absent_over_time(gone[5m]) and there", []),
        ("gone or vector(0)", []),
        ("gone or there", []),
        ("gone or lost", ["gone", "lost"]),
        ("there unless gone", []),
        ("gone unless there", ["gone"]),
        ("ALERTS{alertname='a'}", []),
        ("info(there, {__name__='gone'})", []),
        ("max_over_time(sum(gone)[5m:1m])", ["gone"]),
    ],
)
def test_a_selector_is_missed_where_the_expression_counts_on_it(text: str, missing: list[str]) -> None:
    assert [selector.name for selector in unmatched(parse(text), lambda selector: selector.name == "there")] == missing
