"""What the application's own diagnostics say, and for memory which processes hold it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from otelmon.incidents.model import Finding
from otelmon.instrument.diagnostics import Diagnostic, Diagnostics, Run
from otelmon.instrument.processes import largest_processes
from otelmon.runtime.evidence import Question

_MEMORY = ("otelmon_memory_", "system_memory_", "process_memory_")


class DiagnosticSource:
    """Begins all of an alert's diagnostics at once, each in a thread of its own, and takes what they say in time."""

    def __init__(self, diagnostics: Diagnostics, *, monotonic: Callable[[], float]) -> None:
        self._diagnostics = diagnostics
        self._monotonic = monotonic
        self._largest = Diagnostic("Largest processes", largest_processes)
        self._runs: list[Run] = []

    def begin(self, question: Question) -> None:
        """Start what is asked of this alert."""
        wanted = list(self._diagnostics.of(question.alert.name))
        if question.rule is not None and any(name in question.rule.text for name in _MEMORY):
            wanted.insert(0, self._largest)
        self._runs = [each.begin() for each in wanted]

    def findings(self, question: Question) -> Iterator[Finding]:
        """One finding for each, also where it failed."""
        for run in self._runs:
            said = run.said(question.deadline - self._monotonic())
            yield Finding(name=said.name, text=said.text)
