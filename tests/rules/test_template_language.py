"""Go's template language and Prometheus's functions, by what their documentation and tests say."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmon.labels import Labels
from otelmon.promql.evaluation import Element
from otelmon.rules.template import Surroundings, expand, template_fault

LABELS = {"instance": "db-1.example.com:9100", "job": "shop", "empty": ""}
FOUND = [
    Element(labels=Labels({"__name__": "metric", "instance": "b", "__value__": "two"}), value=21.0),
    Element(labels=Labels({"__name__": "metric", "instance": "a", "__value__": "one"}), value=11.0),
]
AROUND = Surroundings(
    query=lambda text: FOUND if text == "metric" else [],
    at=1435065584.128,
    external_labels={"cluster": "eu"},
    external_url="http://testhost:9090/path/prefix",
)


def shown(text: str, value: float = 1.5) -> str:
    result = expand(text, LABELS, value, AROUND)
    assert result.error == "", result.error
    return result.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ if true }}a{{ end }}", "a"),
        ("{{ if false }}a{{ else }}b{{ end }}", "b"),
        ("{{ if gt $value 5.0 }}a{{ else if gt $value 1.0 }}b{{ else }}c{{ end }}", "b"),
        ("{{ if $labels.job }}set{{ end }}{{ if $labels.empty }}unset{{ end }}", "set"),
        ("{{ if not $labels.nothing }}none{{ end }}", "none"),
        ("{{ with $labels.job }}<{{ . }}>{{ end }}", "<shop>"),
        ("{{ with $labels.empty }}x{{ else }}y{{ end }}", "y"),
        ("{{ with $labels.empty }}x{{ else with $labels.job }}{{ . }}{{ end }}", "shop"),
        ("{{ with $x := 5 }}{{ $x }}{{ . }}{{ end }}", "55"),
        ("{{ $x := 1 }}{{ $x }}{{ $x = 2 }}{{ $x }}", "12"),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}", "empty=;instance=db-1.example.com:9100;job=shop;"),
        ("{{ range $v := $externalLabels }}{{ $v }}{{ end }}", "eu"),
        ("{{ range 3 }}{{ . }}{{ end }}", "012"),
        ("{{ range $i, $e := query `metric` }}{{ $i }}{{ $e.Labels.instance }}{{ end }}", "0b1a"),
        ("{{ range query `missing` }}x{{ else }}none{{ end }}", "none"),
        ("{{ range 9 }}{{ if eq . 3 }}{{ break }}{{ end }}{{ . }}{{ end }}", "012"),
        ("{{ range 4 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ . }}{{ end }}", "023"),
        ("{{ range 2 }}{{ range 9 }}{{ break }}{{ end }}{{ . }}{{ end }}", "01"),
        ('{{ define "x" }}[{{ . }}]{{ end }}{{ template "x" 5 }}{{ template "x" "a" }}', "[5][a]"),
        ('{{ define "x" }}{{ .arg0 }} {{ .arg1 }}{{ end }}{{ template "x" (args 0 "1") }}', "0 1"),
        ('{{ define "x" }}{{ . }}{{ end }}{{ template "x" }}', "<no value>"),
        ('{{ block "x" $value }}{{ . }}!{{ end }}', "1.5!"),
        ("{{ range 2 }}{{ $.Labels.job }}{{ end }}", "shopshop"),
        ("a{{- /* why */ -}} b", "ab"),
        ("a {{- 1 }} b {{ 2 -}} c", "a1 b 2c"),
        ("{{ (query `metric` | first).Value }}", "21"),
        ("{{ (index (query `metric`) 1).Labels.instance }}", "a"),
        ("{{- range $i, $x := query `metric` -}} {{ $x.Value }} {{- end -}}", "2111"),
    ],
)
def test_control_structures_run_as_in_go(text, expected):
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "{{ 1 }} {{ 1.5 }} {{ -3 }} {{ 1e3 }} {{ 0x1F }} {{ 0b11 }} {{ 017 }} {{ 1_000 }}",
            "1 1.5 -3 1000 31 3 15 1000",
        ),
        (r"""{{ 'a' }} {{ "\u00e9\x41\101\t|" }} {{ `raw\n` }} {{ true }}""", "97 éAA\t| raw\\n true"),
        ("{{ eq 1 1 }}{{ eq 1 2 3 1 }}{{ eq `a` `b` }}{{ ne 1 2 }}", "truetruefalsetrue"),
        ("{{ lt 1 2 }}{{ le 2 2 }}{{ gt `b` `a` }}{{ ge 1.0 2.0 }}", "truetruetruefalse"),
        ("{{ and 1 0 2 }}{{ and 1 2 }}{{ or 0 `` 3 }}{{ or 0 `` }}{{ not 1 }}", "023false"),
        ("{{ or true (query `missing` | first | value) }}", "true"),
        ("{{ and (gt $value 1.0) (lt $value 2.0) }}", "true"),
        ("{{ len `abc` }}{{ len `é` }}{{ len $labels }}{{ query `metric` | len }}", "3232"),
        ("{{ slice `abcdef` 1 3 }}{{ slice `abc` 1 }}{{ slice `abc` }}", "bcbcabc"),
        ("{{ index $labels `job` }}{{ index `abc` 1 }}", "shop98"),
        ("{{ print 1 2 `a` `b` 3 }}", "1 2ab3"),
        ("{{ println 1 `a` }}|", "1 a\n|"),
        ('{{ html `<a href="x">&\'` }}', "&lt;a href=&#34;x&#34;&gt;&amp;&#39;"),
        ("{{ js `it's <b>=\"` }}", "it\\'s \\u003Cb\\u003E\\u003D\\\""),
        ("{{ urlquery `a b&c/d` }} {{ `a b` | urlQueryEscape }}", "a+b%26c%2Fd a+b"),
        (
            "{{ printf `%d %5d|%-5d|%05d|%+d|%x|%X|%o|%b|%c|%q|%U` 7 7 7 7 7 255 255 8 5 65 65 65 }}",
            "7     7|7    |00007|+7|ff|FF|10|101|A|'A'|U+0041",
        ),
        (
            "{{ printf `%f %.2f %8.3f|%e|%g|%G|%v` 1.5 1.5 1.5 1.5 1e-7 1e-7 1e21 }}",
            "1.500000 1.50    1.500|1.500000e+00|1e-07|1E-07|1e+21",
        ),
        (
            '{{ printf `%s|%10s|%-4s|%.2s|%q|%x` `ab` `ab` `ab` `abc` `a"b` `ab` }}',
            'ab|        ab|ab  |ab|"a\\"b"|6162',
        ),
        ("{{ printf `%t %v %T %T %T` true false 1 1.0 `a` }}", "true false int float64 string"),
        (
            "{{ printf `%v %s %d` $externalLabels $externalLabels $externalLabels }}",
            "map[cluster:eu] map[cluster:eu] map[%!d(string=cluster):%!d(string=eu)]",
        ),
        ("{{ printf `%z` 3 }}", "%!z(int=3)"),
        ("{{ (printf `%03.1f` $value) | printf `%6s` }}", "   1.5"),
    ],
)
def test_functions_of_go_give_what_go_gives(text, expected):
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ query `metric{instance='a'}` | len }}", "0"),
        ("{{ query `metric` | first | value }}", "21"),
        ("{{ query `metric` | sortByLabel `instance` | first | value }}", "11"),
        ("{{ query `metric` | first | label `instance` }}", "b"),
        ("{{ query `metric` | first | strvalue }}", "two"),
        (
            "{{ range query `metric` | sortByLabel `instance` }}{{ .Labels.instance }}:{{ .Value }}: {{ end }}",
            "a:11: b:21: ",
        ),
        ("{{ with query `metric` }}{{ . | first | value | humanize }}{{ end }}", "21"),
        ("{{ with query `missing` }}x{{ end }}", ""),
        ("{{ query `metric` | first }}", "&{map[__name__:metric __value__:two instance:b] 21}"),
        ("{{ match `^[a-f]` `aa` }}{{ match `a+` `xaay` }}{{ match `b` `aa` }}", "truetruefalse"),
        ("{{ reReplaceAll `localhost:(.*)` `my.domain:$1` `localhost:9090` }}", "my.domain:9090"),
        ("{{ reReplaceAll `(?P<a>a+)` `[${a}]` `baab` }}", "b[aa]b"),
        ("{{ `a-b` | reReplaceAll `-` `$$` }}", "a$b"),
        ("{{ safeHtml `<b>` }}{{ `<b>` }}", "<b><b>"),
        ("{{ `aa bb CC it's a_b` | title }}", "Aa Bb CC It'S A_b"),
        ("{{ `aa bb CC` | toUpper }}{{ `aa bb CC` | toLower }}", "AA BB CCaa bb cc"),
        ("{{ graphLink `up == 0` }}", "/graph?g0.expr=up+%3D%3D+0&g0.tab=0"),
        ("{{ tableLink `up` }}", "/graph?g0.expr=up&g0.tab=1"),
        (
            "{{ $labels.instance | stripPort }} {{ stripPort `[::1]:80` }} {{ stripPort `host` }}",
            "db-1.example.com ::1 host",
        ),
        (
            "{{ $labels.instance | stripDomain }} {{ stripDomain `10.0.0.1:80` }} {{ stripDomain `a.b` }}",
            "db-1:9100 10.0.0.1:80 a",
        ),
        (
            "{{ externalURL }} {{ pathPrefix }} {{ $externalURL }}",
            "http://testhost:9090/path/prefix /path/prefix http://testhost:9090/path/prefix",
        ),
        ("{{ $externalLabels.cluster }}{{ .ExternalLabels.cluster }}", "eueu"),
        ("{{ parseDuration `1h2m10ms` }}", "3720.01"),
        ("{{ (toTime 1435065584.128).Format `2006-01-02T15:04:05.000Z07:00` }}", "2015-06-23T13:19:44.128Z"),
        ("{{ (1435065584.128 | toTime).Year }} {{ toTime 1435065584.128 }}", "2015 2015-06-23 13:19:44.128 +0000 UTC"),
        ("{{ (toTime 0).Format `Monday, 02-Jan-06 3:04PM MST` }}", "Thursday, 01-Jan-70 12:00AM UTC"),
        ("{{ toDuration 5400.5 }} {{ (toDuration 5400).Hours }} {{ toDuration 0.0015 }}", "1h30m0.5s 1.5 1.5ms"),
        ("{{ now | humanizeTimestamp }}", "2015-06-23 13:19:44.128 +0000 UTC"),
        ("{{ humanize 0 }}:{{ humanize `1.0` }}:{{ humanize 1234567.0 }}:{{ humanize .12 }}", "0:1:1.235M:120m"),
        ("{{ humanize -1 }}:{{ humanize 9223372036854775807 }}", "-1:9.223E"),
        (
            "{{ humanize1024 0 }}:{{ humanize1024 1 }}:{{ humanize1024 1048576.0 }}:{{ humanize1024 .12 }}",
            "0:1:1Mi:0.12",
        ),
        (
            "{{ humanizeDuration 0 }}:{{ humanizeDuration 1 }}:{{ humanizeDuration 60 }}:{{ humanizeDuration 3600 }}",
            "0s:1s:1m 0s:1h 0m 0s",
        ),
        (
            "{{ humanizeDuration 86400 }}:{{ humanizeDuration -183845 }}:{{ humanizeDuration 899.99 }}",
            "1d 0h 0m 0s:-2d 3h 4m 5s:14m 59s",
        ),
        ("{{ humanizeDuration .1 }}:{{ humanizeDuration .0001 }}:{{ humanizeDuration .12345 }}", "100ms:100us:123.5ms"),
        (
            "{{ humanizeDuration 60.5 }}:{{ humanizeDuration 1.2345 }}:{{ humanizeDuration 12.345 }}",
            "1m 0s:1.234s:12.35s",
        ),
        (
            "{{ humanizePercentage -0.22222 }}:{{ humanizePercentage 0.1234567 }}:{{ humanizePercentage 1.23456 }}",
            "-22.22%:12.35%:123.5%",
        ),
        ("{{ humanizeTimestamp 0 }}", "1970-01-01 00:00:00 +0000 UTC"),
        ("{{ (args 1 `a`).arg1 }}{{ (args 1).arg9 }}", "a<no value>"),
    ],
)
def test_functions_of_prometheus_give_what_its_tests_say(text, expected):
    assert shown(text) == expected


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_is_no_finite_number_is_shown_as_go_shows_it(value):
    text = (
        "{{ humanize $value }} {{ humanizeDuration $value }} {{ humanizeTimestamp $value }} {{ printf `%.1f` $value }}"
    )
    assert shown(text, value) == " ".join(["NaN" if math.isnan(value) else "+Inf"] * 4)


def test_odd_formats_are_shown_as_go_shows_them():
    assert shown("{{ printf `%*d|%[2]d %[1]d` 4 7 }}") == "   7|7 4"
    assert shown("{{ printf `100%` }}") == "100%!(NOVERB)"
    assert shown("{{ printf `%[5]d` 1 }}") == "%!d(BADINDEX)"
    assert shown("{{ printf `%d %d` 1 }}") == "1 %!d(MISSING)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ if $value }}x", "{{if}} is not closed by {{end}}"),
        ("x{{ end }}", "at character 2: {{end}} without anything that it closes"),
        ("{{ else }}", "{{else}} without anything that it closes"),
        ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "{{else}} cannot stand here"),
        ("{{ if }}{{ end }}", "a value is missing after if"),
        ("{{ break }}", "{{break}} outside of {{range}}"),
        ("{{ $x = 1 }}", "there is no variable $x"),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "there is no variable $x"),
        ('{{ define "x" }}{{ $value }}{{ end }}', "there is no variable $value"),
        ('{{ if 1 }}{{ define "x" }}{{ end }}{{ end }}', "{{define}} can only stand outside"),
        ("{{ $a, $b := 1 }}", "two variables can be set by range only"),
        ("{{ 'ab' }}", "a character, between single quotes, is one"),
        ("{{ 08 }}", "'08' is no number"),
        ("{{ `a``b` }}", "cannot stand here"),
        ("{{ humanize.x }}", "cannot stand here"),
    ],
)
def test_what_go_refuses_at_parsing_is_a_fault_of_the_file(text, said):
    fault = template_fault(text)
    assert fault is not None
    assert said in f"at character {fault.offset + 1}: {fault.message}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ gt $value 5 }}", "incompatible types for comparison: float64 and int"),
        ("{{ eq `a` 1 }}", "incompatible types for comparison: string and int"),
        ("{{ lt true false }}", "invalid type for comparison: bool"),
        ("{{ eq $labels $labels }}", "non-comparable type"),
        ("{{ query `missing` | first | value }}", "first: first() called on vector with no elements"),
        ('{{ template "nothing" }}', "template 'nothing' is not defined"),
        ('{{ define "x" }}{{ template "x" }}{{ end }}{{ template "x" }}', "templates call each other more than"),
        ("{{ range 1000000 }}{{ end }}", "it takes more than 100000 steps"),
        ("{{ range 50000 }}{{ printf `%900d` 1 }}{{ end }}", "it prints more than 1000000 characters"),
        ("{{ range `abc` }}{{ end }}", "range cannot go over abc: string"),
        ("{{ index `abc` 9 }}", "index out of range: 9"),
        ("{{ slice `abc` 2 1 }}", "invalid slice index: 2 > 1"),
        ("{{ $labels.job.x }}", "there is no .x here: this is a string"),
        ("{{ humanize `invalid` }}", "humanize: 'invalid' is no number"),
        ("{{ match `(` `a` }}", "match: missing closing )"),
        ("{{ 5 | parseDuration }}", "parseDuration: a string expected, not 5: int"),
        ("{{ .Value | .Labels }}", ".Labels is no function"),
        ("{{ call $value }}", "is no function"),
        ("{{ 1e300 | toTime }}", "cannot be converted to a time"),
        ("{{ 9000000000 | toTime }}{{ 250000000000 | toTime }}", "cannot be converted to a time"),
    ],
)
def test_what_fails_as_it_runs_keeps_the_raw_text(text, said):
    result = expand(text, LABELS, 1.5, AROUND)
    assert result.text == text
    assert said in result.error


PARTS = [
    "{{ if ",
    "{{ range ",
    "{{ with ",
    "{{ end }}",
    "{{ else }}",
    "{{ $x := ",
    "}}",
    " $x ",
    " . ",
    ".a",
    " | ",
    "(",
    ")",
    " len ",
    " printf ",
    " index ",
    " $labels ",
    " $value ",
    "`%d`",
    " 3 ",
    " -1.5 ",
    "{{ break }}",
    " query `metric` ",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_no_mixture_of_its_parts_raises(text):
    result = expand(text, LABELS, 1.5, AROUND)
    assert result.error == "" or result.text == text
