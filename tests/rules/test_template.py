"""Annotations as Prometheus expands them; an error keeps the raw text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.rules.template import expand, template_fault

LABELS = {"job": "shop", "http.route": "/pay", "path": "{{ $value }}"}


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("no action", 1.0, "no action"),
        ("{{ $labels.job }} and {{ .Labels.job }}", 1.0, "shop and shop"),
        ("{{$value}} {{ .Value }}", 0.25, "0.25 0.25"),
        ("[{{ $labels.missing }}]", 1.0, "[]"),
        ('{{ index $labels "http.route" }}', 1.0, "/pay"),
        ("a {{- $value -}} b", 1.0, "a1b"),
        ("a {{/* why */ -}} b", 1.0, "a b"),
        ('{{ "quoted \\" text" }} {{ `raw \\n` }}', 1.0, 'quoted " text raw \\n'),
        ("{{ $value }}", 1e21, "1e+21"),
        ("{{ $value }}", 123456789.0, "1.23456789e+08"),
        ("{{ $value }}", -100000.0, "-100000"),
        ("{{ $value }}", 1e6, "1e+06"),
        ("{{ $value }}", 0.0, "0"),
        ("{{ $value }}", 1e-5, "1e-05"),
        ("{{ $value }}", float("nan"), "NaN"),
        ("{{ $value }}", float("inf"), "+Inf"),
        ("{{ $value | humanize }}", 1234567.0, "1.235M"),
        ("{{ $value | humanize }}", 0.0123, "12.3m"),
        ("{{ $value | humanize }}", 0.0, "0"),
        ("{{ humanize $value }}", 999.0, "999"),
        ("{{ $value | humanize1024 }}", 1048576.0, "1Mi"),
        ("{{ $value | humanize1024 }}", 0.5, "0.5"),
        ("{{ $value | humanizeDuration }}", 90061.0, "1d 1h 1m 1s"),
        ("{{ $value | humanizeDuration }}", 5400.0, "1h 30m 0s"),
        ("{{ $value | humanizeDuration }}", -61.0, "-1m 1s"),
        ("{{ $value | humanizeDuration }}", 59.9, "59.9s"),
        ("{{ $value | humanizeDuration }}", 0.0005, "500us"),
        ("{{ $value | humanizeDuration }}", 0.0, "0s"),
        ("{{ $value | humanizePercentage }}", 0.1234567, "12.35%"),
        ("{{ $value | humanizeTimestamp }}", 1435065584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
        ("{{ $labels.job | title }}", 1.0, "Shop"),
        ('{{ "two words" | title | toUpper }}', 1.0, "TWO WORDS"),
        ('{{ toLower "ABC" }}', 1.0, "abc"),
        ('{{ printf "%.2f of %s" $value $labels.job }}', 1.005, "1.00 of shop"),
        ('{{ $value | printf "%.0f" }}', 12.6, "13"),
        ('{{ printf "%5.1f|%-4s|%q|%v%%" $value "a" "b" true }}', 1.0, '  1.0|a   |"b"|true%'),
        ('{{ printf "%d" $value }}', 1.5, "%!d(float64=1.5)"),
        ('{{ printf "%d %03d" 7 7 }}', 1.0, "7 007"),
        ('{{ printf "%s" }}', 1.0, "%!s(MISSING)"),
        ('{{ printf "x" 1 }}', 1.0, "x%!(EXTRA int=1)"),
        ('{{ ($value | printf "%.1f") | toUpper }}', 2.0, "2.0"),
        ('{{ "0.5" | humanizePercentage }}', 1.0, "50%"),
        ("{{ $labels }}", 1.0, "map[http.route:/pay job:shop path:{{ $value }}]"),
        ("{{ $externalURL }}{{ $externalLabels.cluster }}", 1.0, ""),
    ],
)
def test_what_rules_write_is_expanded_as_go_does(text, value, expected):
    result = expand(text, LABELS, value)
    assert (result.text, result.error) == (expected, "")


def test_a_labels_value_is_data_and_never_expanded():
    assert expand("{{ $labels.path }}", LABELS, 5.0).text == "{{ $value }}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x {{ $valeu }}", "at character 6: there is no variable $valeu"),
        ("{{ $value", "at character 1: {{ is not closed by }}"),
        ("{{ }}", "at character 1: nothing between {{ and }}"),
        ("{{ humanise $value }}", "at character 4: there is no function 'humanise'"),
        ("{{ $value | }}", "a value or a function is missing here"),
        ("{{ $value | $value }}", "only a function can stand after |"),
        ("{{ ($value }}", "( is not closed"),
        ('{{ "open }}', "a string that is not closed"),
        ("{{ `open }}", "a string that is not closed"),
        ('{{ "\\z" }}', "the escape \\z is not known"),
        ("{{ # }}", "'#' cannot stand here"),
        ("{{ $value 5 }}", "'5' cannot stand here"),
        ("{{ .Nothing }}", "there is no .Nothing"),
        ("{{ $value.x }}", "there is no .x here"),
        ("{{ humanize }}", "humanize: wrong number of arguments"),
        ("{{ $labels.job | humanize }}", "humanize: 'shop' is no number"),
        ("{{ $value | toUpper }}", "toUpper: a string expected"),
        ("{{ $value | humanizeTimestamp }}", "humanizeTimestamp"),
        ('{{ printf "%9999d" 1 }}', "asks for more than 1000 characters"),
        ('{{ query "up" }}', "query: there are no data here to query"),
        ("{{/* open }}", "a comment that is not closed"),
        ("{{ " + "(" * 40 + "1" + ")" * 40 + " }}", "parentheses inside each other"),
        ("{{ 5x }}", "'5x' is no number"),
    ],
)
def test_an_error_keeps_the_raw_text_and_says_what_is_wrong(text, said):
    result = expand(text, LABELS, 1e300)
    assert result.text == text
    assert said in result.error


def test_what_cannot_be_parsed_is_known_before_anything_fires():
    fault = template_fault("ab {{ $valeu }}")
    assert fault is not None
    assert fault.offset == 6
    assert template_fault("{{ $value | humanize }}") is None


def test_a_control_structure_is_no_fault_of_the_writer():
    assert template_fault("{{ if gt $value 5.0 }}much{{ end }}") is None
    assert template_fault('{{ with query "up" }}{{ . | first | value }}{{ end }}') is None


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='{}$. ()|"`-%/*abclvLV059', max_size=30), st.floats())
def test_no_text_raises(text, value):
    result = expand("{{" + text, LABELS, value)
    assert result.error == "" or result.text == "{{" + text
