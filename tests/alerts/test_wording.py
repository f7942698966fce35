"""An alert's texts may ask the window, at the instant of the rule."""

from otelmon.alerts.wording import wording
from otelmon.labels import Labels
from otelmon.sample import Sample
from otelmon.window.window import Window

LABELS = Labels({"instance": "a"})


def window() -> Window:
    window = Window(retention_seconds=3600.0)
    for name, values in (("a", (1.0, 2.0)), ("b", (5.0, 6.0))):
        labels = Labels({"__name__": "load", "instance": name})
        window.append([Sample(labels=labels, at=60.0 * at, value=value) for at, value in enumerate(values, 1)])
    return window


def test_a_query_is_evaluated_at_the_instant_of_the_rule():
    text = '{{ range query "load" | sortByLabel "instance" }}{{ .Labels.instance }}={{ .Value }} {{ end }}'
    assert wording(window(), at=60.0)(text, LABELS, 1.0) == "a=1 b=5 "
    assert wording(window(), at=120.0)(text, LABELS, 1.0) == "a=2 b=6 "


def test_a_query_may_use_the_alerts_labels_and_value():
    text = '{{ with printf "load{instance=%q} + %f" $labels.instance $value | query }}{{ . | first | value }}{{ end }}'
    assert wording(window(), at=120.0)(text, LABELS, 0.5) == "2.5"


def test_a_query_that_fails_keeps_the_text_and_says_why():
    expand = wording(window(), at=120.0)
    assert expand('{{ query "load +" }}', LABELS, 1.0).startswith(
        '{{ query "load +" }} (template: at character 4: query:'
    )
    assert "many-to-many" in expand('{{ query "load + on() load" }}', LABELS, 1.0)


def test_what_surrounds_the_monitor_is_known():
    expand = wording(window(), at=0.0, external_labels={"cluster": "eu"}, external_url="http://mon.example/base")
    text = "{{ $externalLabels.cluster }} {{ externalURL }} {{ pathPrefix }}"
    assert expand(text, LABELS, 1.0) == "eu http://mon.example/base /base"
