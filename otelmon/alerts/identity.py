"""What an alert's labels say: its name, its severity, and how templates in them are filled in."""

from __future__ import annotations

from collections.abc import Callable

from otelmon.labels import Labels
from otelmon.rules.model import Severity

ALERT_NAME = "alertname"
# Tells alerts that no series stands for: values put in by hand ("manual"), a rule that measures nothing ("no_data").
SOURCE = "source"

# Expands a template with the labels and the value of one series; annotations and the rule's labels are templates.
Expand = Callable[[str, Labels, float], str]


def severity_of(labels: Labels) -> Severity:
    """The severity that an alert's labels name; warning where they name none or an unknown one."""
    value = labels.get("severity", "")
    return Severity(value) if value in set(Severity) else Severity.WARNING
