"""Probes: health endpoints, ports and functions that are asked in the background whether all is well."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otelmon.forks import FORKS
from otelmon.instrument.background import Background, Job, Ran

NAME = "otelmon.probe.name"
PROBLEM = "otelmon.probe.problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often something is asked, how long it may take, and how many answers in a row change the verdict."""

    interval_seconds: float = 15.0
    timeout_seconds: float = 5.0
    failures: int = 3
    successes: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTarget:
    """An endpoint and what it has to answer: one of ``statuses`` (none given: any 2xx), ``body`` somewhere in the body,
    ``json`` as part of a JSON object, within ``latency_limit_seconds``, over TLS with a certificate that is valid for
    another ``certificate_seconds``. The address and the headers may hold secrets.
    """

    url: str = field(repr=False)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    statuses: tuple[int, ...] = ()
    body: str | None = None
    json: Mapping[str, object] | None = None
    latency_limit_seconds: float | None = None
    certificate_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpTarget:
    """A port that has to accept connections."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """A probe as the configuration has it."""

    name: str
    target: HttpTarget | TcpTarget
    rhythm: Rhythm = Rhythm()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a target answered: ``problem`` is empty where all is well, else a few words without data in them."""

    problem: str = ""
    certificate_expires_at: float | None = None


class Verdict:
    """Whether something is up: down after so many failures in a row, up after so many successes.

    ``up`` is None until the first success or enough failures: what starts up late is not down.
    """

    __slots__ = ("_rhythm", "_same", "up")

    def __init__(self, rhythm: Rhythm) -> None:
        self.up: bool | None = None
        self._rhythm = rhythm
        self._same = 0

    def take(self, *, success: bool) -> None:
        """Take an answer into account."""
        if success == self.up:
            self._same = 0
            return
        if success and self.up is None:
            self.up, self._same = True, 0
            return
        self._same += 1
        if self._same >= (self._rhythm.successes if success else self._rhythm.failures):
            self.up, self._same = success, 0


class _Probe:
    """One probe under watch."""

    def __init__(self, name: str, check: Callable[[], Answer], rhythm: Rhythm) -> None:
        self.attributes = {NAME: name}
        self.check = check
        self.rhythm = rhythm
        self.verdict = Verdict(rhythm)
        self.seconds: float | None = None
        self.problem = ""
        self.certificate_expires_at: float | None = None

    def done(self, ran: Ran[Answer]) -> None:
        answer = ran.value if ran.value is not None else Answer(problem=problem_of(ran.error))
        self.seconds = ran.seconds
        self.problem = answer.problem
        # One that has expired fails the handshake, so what is known of it is kept.
        self.certificate_expires_at = answer.certificate_expires_at or self.certificate_expires_at
        self.verdict.take(success=not answer.problem)


class Probes:
    """The probes of one process.

    Instruments, by ``otelmon.probe.name``: ``otelmon.probe.up`` (1 or 0, by the verdict), ``otelmon.probe.duration``
    (s, of the last run), ``otelmon.probe.certificate_expiry`` (s from now, below 0 once it has expired) and
    ``otelmon.probe.failure`` (1 while the last run failed, with ``otelmon.probe.problem``).
    """

    def __init__(self) -> None:
        self._declared: dict[str, tuple[Callable[[], Answer], Rhythm]] = {}
        self._probes: dict[str, _Probe] = {}
        self._background: Background | None = None

    def declare(self, name: str, function: Callable[[], Any], rhythm: Rhythm) -> None:
        """A probe in the application's code; a later one of the same name takes its place."""
        self._declared[name] = (_check_of(function, rhythm.timeout_seconds), rhythm)
        if self._background is not None:
            self._start(name, *self._declared[name])

    def begin(self, meter: Meter, background: Background, configured: Iterable[ProbeSettings]) -> None:
        """Ask from now on."""
        self._background = background
        self._create_instruments(meter)
        for each in configured:
            self._start(each.name, _asking(each.target, each.rhythm), each.rhythm)
        for name, (check, rhythm) in self._declared.items():
            self._start(name, check, rhythm)

    def end(self) -> None:
        """Forget what was found; what the code declared stays for the next `begin`."""
        self._background = None
        self._probes = {}

    def _start(self, name: str, check: Callable[[], Answer], rhythm: Rhythm) -> None:
        if self._background is None or name in self._probes:
            return
        probe = self._probes[name] = _Probe(name, check, rhythm)
        # The check keeps its own time limit; this one is for what does not.
        limit = rhythm.timeout_seconds + 1.0
        self._background.add(
            Job(
                name=f"probe {name}",
                run=check,
                done=probe.done,
                interval_seconds=rhythm.interval_seconds,
                timeout_seconds=limit,
            )
        )

    def _create_instruments(self, meter: Meter) -> None:
        gauges: tuple[tuple[str, str, str, Callable[[_Probe], float | None]], ...] = (
            ("up", "", "Whether the probe's target is up.", lambda probe: _number(probe.verdict.up)),
            ("duration", "s", "How long the probe's last run took.", lambda probe: probe.seconds),
            ("certificate_expiry", "s", "How long the certificate is valid.", _certificate_seconds),
        )
        for name, unit, description, read in gauges:
            meter.create_observable_gauge(f"otelmon.probe.{name}", [self._callback(read)], unit, description)
        meter.create_observable_gauge(
            "otelmon.probe.failure", [self._observe_failures], "", "Why the probe's last run failed."
        )

    def _callback(self, read: Callable[[_Probe], float | None]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            found = [(probe, read(probe)) for probe in list(self._probes.values())]
            return [Observation(value, probe.attributes) for probe, value in found if value is not None]

        return observe

    def _observe_failures(self, _: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(1, {**probe.attributes, PROBLEM: probe.problem})
            for probe in list(self._probes.values())
            if probe.problem
        ]


def problem_of(error: BaseException | None) -> str:
    """An error as a problem: its type only, since its text may hold an address or a secret."""
    if error is None:
        return "no answer"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return "connection refused" if isinstance(error, ConnectionRefusedError) else type(error).__name__


def _check_of(function: Callable[[], Any], timeout_seconds: float) -> Callable[[], Answer]:
    """A function of the application as a check: what it raises and False are failures, all else is well."""

    def check() -> Answer:
        result = function()
        if inspect.isawaitable(result):
            result = asyncio.run(_within(result, timeout_seconds))
        return Answer(problem="returned False" if result is False else "")

    return check


async def _within(awaitable: Any, seconds: float) -> Any:
    return await asyncio.wait_for(awaitable, seconds)


def _asking(target: HttpTarget | TcpTarget, rhythm: Rhythm) -> Callable[[], Answer]:
    def check() -> Answer:
        with FORKS.whole():
            from otelmon.instrument.probe_targets import ask  # loads httpx: here, in the background

        return ask(target, rhythm.timeout_seconds)

    return check


def _number(up: bool | None) -> float | None:  # noqa: FBT001 (a conversion)
    return None if up is None else float(up)


def _certificate_seconds(probe: _Probe) -> float | None:
    return None if probe.certificate_expires_at is None else probe.certificate_expires_at - time.time()
