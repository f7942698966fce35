"""What came of the demo: which page came when, and whether it was to come."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from examples.demo.story import ACTS, Act


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A message in the channel: seconds since the start, its id, its text as posted, and who was pinged."""

    at: float
    id: str
    text: str
    pinged: tuple[str, ...]

    @property
    def resolves(self) -> bool:
        """Whether it says that something is over."""
        return "resolved" in self.text.lower()


@dataclass(slots=True)
class Report:
    """Collects what happened, and judges it.

    By fault, ``causes`` is what its page's breakdown names first, ``traces`` the id of a trace in the page that the
    shop has exported.
    """

    switched: dict[str, float] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    causes: dict[str, str] = field(default_factory=dict)
    traces: dict[str, str] = field(default_factory=dict)

    def page_of(self, act: Act, *, resolved: bool) -> Seen | None:
        """The message by which an act's alert was paged, or resolved."""
        return next((s for s in self.seen if act.title in s.text and s.resolves is resolved), None)

    @property
    def unexpected(self) -> list[Seen]:
        """Messages that belong to no act, came before their fault, or a second time."""
        expected = [self.page_of(act, resolved=resolved) for act in ACTS for resolved in (False, True)]
        early = [s for act in ACTS if (s := self.page_of(act, resolved=False)) and s.at < self.on_at(act)]
        return [s for s in self.seen if s not in expected or s in early]

    @property
    def missing(self) -> list[str]:
        """What should have come and did not."""
        names = {False: "page", True: "resolved message"}
        missing = [
            f"no {names[resolved]} of {act.alert}"
            for act in ACTS
            for resolved in (False, True)
            if self.page_of(act, resolved=resolved) is None
        ]
        missing += [f"{act.alert} was not acknowledged" for act in ACTS if act.acknowledged and not self.acknowledged]
        for act in ACTS:
            if not self.causes.get(act.fault, "").startswith(act.cause):
                missing.append(f"the page of {act.alert} does not say first: {act.cause}")
            if act.trace and act.fault not in self.traces:
                missing.append(f"the page of {act.alert} has no {act.trace.lower()} that there is")
        return missing

    @property
    def as_expected(self) -> bool:
        """Whether every expected page came, and no other."""
        return not self.missing and not self.unexpected

    def on_at(self, act: Act) -> float:
        """When an act's fault was switched on, in seconds since the start."""
        return self.switched.get(f"{act.fault} on", act.on_at)

    def off_at(self, act: Act) -> float:
        """When it was switched off."""
        return self.switched.get(f"{act.fault} off", act.off_at)

    def print(self, console: Console) -> None:
        """The table, and what was wrong, if anything."""
        table = Table(title="What came of it", title_justify="left")
        for heading in ("fault", "alert", "fault to page", "recovery to resolved", "pinged"):
            table.add_column(heading)
        for act in ACTS:
            paged, over = self.page_of(act, resolved=False), self.page_of(act, resolved=True)
            table.add_row(
                act.fault,
                act.alert,
                f"{paged.at - self.on_at(act):.1f} s" if paged else "-",
                f"{over.at - self.off_at(act):.1f} s" if over else "-",
                (", ".join(paged.pinged) or "nobody") if paged else "-",
            )
        console.print(table)
        for text in self.missing:
            console.print(f"[red]missing:[/red] {text}")
        for message in self.unexpected:
            console.print(f"[red]not expected:[/red] at {message.at:.1f} s: {message.text}")
        if self.as_expected:
            console.print("[green]Every page that should have come came and names its cause, no other came.[/green]")
