"""Series and expressions for the comparison with a real Prometheus; the same seed gives the same ones.

What 2.42 and 3 do not mean alike is left out; each exclusion stands at its place below or in the list:

- Left-closed ranges and lookback (2.42) against left-open ones (3): no sample lies on the edge of a range. Samples lie
  at .125 s, instants of evaluation and of ``@`` at .625 s, and steps of subqueries at whole seconds.
- Zero clamping of rate() where the range begins long before the first sample in it (changed in 2.5x): counters that
  have gaps stand far above zero and are not reset, and no range begins before the data.
- atan2 of a series and a scalar: 2.42 keeps the metric's name.
- holt_winters (renamed), limitk, limit_ratio, mad_over_time, sort_by_label, trimming, fill and info: not in 2.42.
- stddev and stdvar of infinities and NaN (0 for a single one in 2.42, NaN in 3): aggregated by them are finite values.
- Comparisons that match many to one unsaid: 3 refuses them also where all but one are filtered away.
- ``%``, sin and cos of large computed values, which make a last digit's difference a large one.
- timestamp() of a selector with ``@`` and ``offset``: Prometheus forgets the offset there, against its documentation.
- Date functions of NaN and infinities, where Go's conversion depends on the processor.
- Float formatting and ties: topk and bottomk select among values that are all different; quantiles of constant series
  and comparisons of computed values for equality are not asked.
- histogram_quantile: only where bucket counts are monotonic as such, since 2.42 has no tolerance for rounding in them.
- Dots in label_replace: no value has a newline (``(?s)`` is new in 3).
- Native histograms: another format in 2.42's time.
"""

from __future__ import annotations

import random

from otelmon.labels import Labels

START = 1_700_000_000.0
SECONDS = 5400
INTERVAL = 15
_EARLIEST = 3000  # no range of a range begins before the first sample
_BOUNDS = ("0.1", "0.25", "0.5", "1", "2.5", "+Inf")
Points = dict[Labels, list[tuple[float, float]]]

JOBS, INSTANCES = ("api", "web"), ("a:1", "b:2", "c:3")


def points(seed: int) -> Points:
    """Counters (with resets; some with gaps), gauges (some with gaps) and classic histograms."""
    chance = random.Random(seed)
    made: Points = {}
    times = [START + 0.125 + INTERVAL * number for number in range(SECONDS // INTERVAL)]
    for job in JOBS:
        for number, instance in enumerate(INSTANCES):
            labels = {"job": job, "instance": instance}
            for code in ("200", "404", "500"):
                made[Labels({"__name__": "requests_total", **labels, "code": code})] = _counter(chance, times, low=True)
            made[Labels({"__name__": "errors_total", **labels})] = _gaps(
                chance, _counter(chance, times, low=False), number
            )
            made[Labels({"__name__": "temperature", **labels, "room": f"r{number}"})] = _gaps(
                chance, _gauge(chance, times, 20.0), number
            )
            made[Labels({"__name__": "limit", **labels})] = [(at, 100.0 + number) for at in times]
            made.update(_histogram(chance, times, labels))
        made[Labels({"__name__": "build", "job": job, "version": f"1.{len(job)}.{job}"})] = [(at, 1.0) for at in times]
        made[Labels({"__name__": "signed", "job": job})] = _gauge(chance, times, 0.0)
    return made


def _counter(chance: random.Random, times: list[float], *, low: bool) -> list[tuple[float, float]]:
    value = chance.uniform(0, 50) if low else chance.uniform(5e6, 9e6)
    found = []
    for at in times:
        value += chance.choice((0, 0, 1, chance.randrange(40), chance.uniform(0, 5)))
        if low and chance.random() < 0.03:
            value = chance.uniform(0, value)
        found.append((at, value))
    return found


def _gauge(chance: random.Random, times: list[float], value: float) -> list[tuple[float, float]]:
    found = []
    for at in times:
        value += chance.gauss(0, 1)
        found.append((at, value))
    return found


def _gaps(chance: random.Random, samples: list[tuple[float, float]], number: int) -> list[tuple[float, float]]:
    """The first instance has no gap, the second misses single samples, the third long stretches as well."""
    if number == 0:
        return samples
    kept = [sample for sample in samples if chance.random() < 0.8]
    if number == 1:
        return kept
    away = [START + chance.uniform(0, SECONDS) for _ in range(3)]
    return [sample for sample in kept if not any(begin <= sample[0] < begin + 390 for begin in away)]


def _histogram(chance: random.Random, times: list[float], labels: dict[str, str]) -> Points:
    counts = [float(chance.randrange(100))] * len(_BOUNDS)
    rows: list[list[tuple[float, float]]] = [[] for _ in _BOUNDS]
    sums = []
    total = 0.0
    for at in times:
        if chance.random() < 0.02:
            counts, total = [0.0] * len(_BOUNDS), 0.0
        for _ in range(chance.randrange(12)):
            slowest = chance.randrange(len(_BOUNDS))
            for index in range(slowest, len(_BOUNDS)):
                counts[index] += 1
            total += 0.2 * (slowest + 1)
        for row, count in zip(rows, counts, strict=True):
            row.append((at, count))
        sums.append((at, total))
    made = {
        Labels({"__name__": "latency_seconds_bucket", **labels, "le": le}): row
        for le, row in zip(_BOUNDS, rows, strict=True)
    }
    made[Labels({"__name__": "latency_seconds_count", **labels})] = rows[-1]
    made[Labels({"__name__": "latency_seconds_sum", **labels})] = sums
    return made


class Expressions:
    """A stream of expressions that mostly find something."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def instant(self) -> float:
        """An instant of evaluation, never that of a sample or of a step."""
        return START + self.chance.randrange(_EARLIEST, SECONDS + 200) + 0.625

    def pick(self, *choices: str) -> str:
        """One of them."""
        return self.chance.choice(choices)

    def expression(self) -> str:
        """A vector mostly, a scalar now and then."""
        return self.scalar(2) if self.chance.random() < 0.05 else self.vector(3)

    def duration(self) -> str:
        """A range; some so short that a series with gaps has one sample or none in it."""
        return self.pick("1m", "2m", "5m", "5m", "10m", "17m", "40s", "1m30s", "25s")

    def matchers(self) -> str:
        """Matchers in braces, or nothing."""
        chosen = [
            one
            for one in (
                self.pick('job="api"', 'job!="web"', 'job=~"a.+"', 'job=~"api|web"', 'job!~"w.*"', 'nothing=""'),
                self.pick('instance="a:1"', 'instance=~".:[12]"', 'instance!="c:3"', 'instance!~"(a|b):.*"'),
                self.pick('code=~"2..|5.."', 'code=~"5..|"', 'room!="r1"', 'le!="1"'),
            )
            if self.chance.random() < 0.18
        ]
        return "{" + ",".join(chosen) + "}" if chosen else ""

    def modifiers(self) -> str:
        """``offset`` and ``@``, rarely."""
        found = ""
        if self.chance.random() < 0.12:
            found += f" offset {self.pick('1m', '5m', '37s', '-1m', '-2m')}"
        if self.chance.random() < 0.06:
            moment = START + self.chance.randrange(_EARLIEST, SECONDS) + 0.625
            found = f" @ {self.pick(f'{moment:.3f}', f'{moment:.3f}', 'end()', 'start()')}{found}"
        return found

    def counter(self) -> str:
        """A name whose series only rise."""
        return self.pick(
            "requests_total", "errors_total", "latency_seconds_count", "latency_seconds_sum", "latency_seconds_bucket"
        )

    def gauge(self) -> str:
        """A name whose series go up and down."""
        return self.pick("temperature", "temperature", "signed", "limit", "build")

    def selected(self, name: str) -> str:
        """A selector."""
        return name + self.matchers()

    def rate(self) -> str:
        """A function of a counter's range."""
        function = self.pick("rate", "rate", "increase", "irate", "resets", "changes", "delta", "idelta")
        return f"{function}({self.selected(self.counter())}[{self.duration()}]{self.modifiers()})"

    def over_time(self) -> str:
        """A function of a gauge's range, or of a subquery."""
        name = self.gauge()
        inside = f"{self.selected(name)}[{self.duration()}]"
        if self.chance.random() < 0.25:
            inner = self.pick(self.rate(), f"abs({self.selected(name)})", f"sum by (job) ({self.selected(name)})")
            inside = f"({inner})[{self.duration()}:{self.pick('', '30s', '1m', '45s', '15s')}]"
        inside += self.modifiers()
        function = self.pick(
            "avg", "min", "max", "sum", "count", "stddev", "stdvar", "last", "present", "quantile", "quantile",
        )  # fmt: skip
        if function == "quantile":
            return f"quantile_over_time({self.pick('0.5', '0.9', '0', '1', '0.37', '-1', '2')}, {inside})"
        if self.chance.random() < 0.35:
            return self.pick(
                f"deriv({inside})", f"predict_linear({inside}, {self.pick('60', '3600', '-30')})", f"changes({inside})",
                f"delta({inside})", f"resets({inside})", f"idelta({inside})", f"absent_over_time({inside})",
            )  # fmt: skip
        return f"{function}_over_time({inside})"

    def vector(self, depth: int) -> str:
        """An instant vector."""
        if depth <= 0 or self.chance.random() < 0.15:
            return self.pick(
                self.rate(), self.rate(), self.over_time(), self.selected(self.gauge()) + self.modifiers(),
                self.selected(self.counter()) + self.modifiers(),
            )  # fmt: skip
        kinds = (self.aggregate, self.aggregate, self.binary, self.binary, self.call, self.call, self.ratio, self.wrap)
        return self.chance.choice(kinds)(depth - 1)

    def wrap(self, depth: int) -> str:
        """Parentheses or a sign."""
        return self.pick(f"({self.vector(depth)})", f"-({self.vector(depth)})", f"+{self.rate()}")

    def labels(self) -> str:
        """Some labels in parentheses."""
        names = ("job", "instance", "code", "room", "le", "absent")
        return "(" + ", ".join(name for name in names if self.chance.random() < 0.35) + ")"

    def aggregate(self, depth: int) -> str:
        """An aggregation."""
        grouping = self.pick("", f"by {self.labels()} ", f"without {self.labels()} ")
        roll = self.chance.random()
        if roll < 0.15:
            operator = self.pick("topk", "bottomk")
            # All temperatures are different.
            return f"{operator} {grouping}({self.pick('1', '2', '0', '5')}, {self.selected('temperature')})"
        if roll < 0.25:
            return f"quantile {grouping}({self.pick('0.5', '0.95', '0', '1')}, {self.vector(depth)})"
        if roll < 0.32:
            return f'count_values {grouping}("value", {self.selected(self.pick("limit", "build"))})'
        operator = self.pick("sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")
        inner = self.vector(depth)
        if operator.startswith("std"):
            inner = self.rate()
        return f"{operator} {grouping}({inner})"

    def scalar(self, depth: int) -> str:
        """A scalar."""
        if depth <= 0 or self.chance.random() < 0.6:
            return self.pick("0", "1", "2.5", "-3", "100", "1e3", "0.1", "7")
        return self.pick(
            "time()", "pi()", f"scalar({self.selected('build')})", f"scalar(sum({self.vector(depth - 1)}))",
            f"({self.scalar(depth - 1)} {self.pick('+', '-', '*', '/', '%', '^')} {self.scalar(depth - 1)})",
        )  # fmt: skip

    def binary(self, depth: int) -> str:
        """An operator between vectors that match, or with a scalar."""
        operator = self.pick("+", "-", "*", "/", "^", ">", "<", ">=", "<=", ">bool ", "<=bool ")
        roll = self.chance.random()
        if roll < 0.05:
            return f"{self.selected(self.gauge())} % {self.scalar(0)}"
        if roll < 0.35:
            left, right = self.vector(depth), self.scalar(1)
            if self.chance.random() < 0.3:
                left, right = right, left
            return f"({left}) {operator} ({right})"
        if roll < 0.5:
            return f"({self.vector(depth)}) {self.pick('and', 'or', 'unless')} {self.matching()}({self.vector(depth)})"
        if roll < 0.7:
            many, one = self.rate(), f"sum by (job, instance) ({self.vector(depth)})"
            include = self.pick("", "", "(room)")
            return f"{many} {operator} on (job, instance) group_left {include} {one}"
        if roll < 0.85:
            one, many = "build", f"({self.vector(depth)})"
            if self.chance.random() < 0.5:
                return f"{many} {operator} on (job) group_left (version) {one}"
            return f"{one} {operator} on (job) group_right (version) {many}"
        by, operator = self.pick("(job)", "(instance)", "(job, instance)"), self.pick(operator, operator, "atan2")
        matching = "" if operator[0] in "<>" else self.matching()
        return f"sum by {by} ({self.vector(depth)}) {operator} {matching}avg by {by} ({self.vector(depth)})"

    def matching(self) -> str:
        """How two vectors match."""
        return self.pick("", "on (job) ", "on (job, instance) ", "ignoring (code, le, room) ", "ignoring (absent) ")

    def ratio(self, depth: int) -> str:
        """What alert rules are made of."""
        by, within = self.pick("(job)", "(job, instance)", "()"), self.duration()
        if self.chance.random() < 0.5:
            bad = f'sum by {by} (rate(requests_total{{code=~"{self.pick("5..", "4..", "[45]..")}"}}[{within}]))'
            return f"{bad} / sum by {by} (rate(requests_total[{within}])) > {self.pick('0', '0.1', '0.3')}"
        if depth and self.chance.random() < 0.3:
            return f"rate(latency_seconds_sum[{within}]) / rate(latency_seconds_count[{within}])"
        return f"histogram_quantile({self.pick('0.5', '0.9', '0.99', '0', '1', '-1', '1.5')}, latency_seconds_bucket)"

    def call(self, depth: int) -> str:
        """A function of a vector."""
        inner = self.vector(depth)
        dates = ("minute", "hour", "day_of_week", "day_of_month", "month", "year", "days_in_month", "day_of_year")
        times = self.pick(self.rate(), "vector(time())", f"timestamp({self.selected('limit')})")
        return self.pick(
            f"{self.pick('abs', 'ceil', 'floor', 'sgn', 'sqrt', 'exp', 'ln', 'log2', 'log10')}({inner})",
            f"{self.pick('atan', 'tanh', 'deg', 'rad', 'sinh', 'acos', 'asinh')}({inner})",
            f"{self.pick('sin', 'cos', 'tan')}(clamp({inner}, -10, 10))",
            f"round({inner})", f"round({inner}, {self.pick('0.5', '10', '0.1')})",
            f"clamp({inner}, {self.pick('0', '-5')}, {self.pick('10', '-6')})",
            f"clamp_min({inner}, {self.scalar(1)})", f"clamp_max({inner}, {self.scalar(1)})",
            f"absent({self.selected(self.pick('temperature', 'missing'))})", f"vector({self.scalar(2)})",
            f"timestamp({self.selected(self.gauge())}{self.pick('', ' offset 1m', ' @ end()')})",
            f"timestamp(({inner}))", f"sort({inner})",
            f'label_replace({inner}, "{self.pick("to", "job", "instance")}", "{self.pick("$1", "x-$1", "")}", '
            f'"{self.pick("instance", "job", "room")}", "{self.pick("(.*):.*", "(.+)", "a(.*)", "")}")',
            f'label_join({inner}, "{self.pick("to", "job")}", "-", "job", "instance")',
            f"{self.pick(*dates)}({times})",
        )  # fmt: skip
