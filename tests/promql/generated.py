"""Random PromQL expressions by the grammar, and texts that are nearly expressions."""

import random

METRICS = [
    "up",
    "http_requests_total",
    "node:cpu:rate5m",
    "a",
    "sum",
    "by",
    "offset",
    "start",
    "step",
    "or",
    "_x",
    ":y",
]
LABELS = ["job", "instance", "le", "code", "by", "on", "group_left", "sum", "bool", "and"]
VALUES = ["api", "5..", "a|b", ".+", "x", "[a-c]+", "", "(?i)foo", "\\\\d+", 'q\\"q']
DURATIONS = ["5m", "1h30m", "30s", "1d", "250ms", "300", "1w", "2y"]
NUMBERS = ["0", "1", "0.5", ".5", "5.", "1e3", "1e-3", "0x1f", "017", "Inf", "NaN", "08", "42", "5m"]
BINARY = ["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "and", "or", "unless"]
COMPARE = {"==", "!=", "<", "<=", ">", ">="}
SETS = {"and", "or", "unless"}
OF_RANGE = ["rate", "increase", "delta", "irate", "max_over_time", "avg_over_time", "changes", "absent_over_time"]
OF_VECTOR = ["abs", "ceil", "sgn", "absent", "sort", "timestamp", "histogram_count", "ln", "deg"]
AGGREGATIONS = ["sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"]
WITH_NUMBER = ["topk", "bottomk", "quantile", "limitk", "limit_ratio"]


class Expressions:
    """A stream of expressions; the same seed gives the same ones."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def any(self, depth=4):
        roll = self.random.random()
        if roll < 0.8:
            return self.vector(depth)
        if roll < 0.93:
            return self.scalar(depth)
        return self.matrix(depth) if roll < 0.98 else self.string()

    def pick(self, choices):
        return self.random.choice(choices)

    def chance(self, share):
        return self.random.random() < share

    def labels(self):
        names = ", ".join(self.pick([*LABELS, '"a.b"']) for _ in range(self.random.randrange(3)))
        return f"({names})"

    def string(self):
        return self.pick(['"x"', "'y z'", '"\\u00e4\\t"', '"\\x41\\101"', '""'])

    def matcher(self):
        name = self.pick([*LABELS, '"service.name"'])
        return f'{name}{self.pick(["=", "!=", "=~", "!~"])}"{self.pick(VALUES)}"'

    def selector(self):
        matchers = [self.matcher() for _ in range(self.random.randrange(3))]
        if self.chance(0.1):
            return "{" + ", ".join(['"my.metric"', *matchers]) + "}"
        if self.chance(0.1):
            return "{" + ",".join(['job="a"', *matchers]) + ("," if self.chance(0.2) else "") + "}"
        name = self.pick(METRICS)
        return name + "{" + ",".join(matchers) + "}" if matchers or self.chance(0.1) else name

    def modifiers(self):
        parts = []
        if self.chance(0.15):
            parts.append(f"offset {self.pick(['', '-', ''])}{self.pick(DURATIONS)}")
        if self.chance(0.12):
            parts.append(f"@ {self.pick(['start()', 'end()', '1609746000', '12.5', '0x10', '1e3'])}")
        self.random.shuffle(parts)
        return "".join(" " + part for part in parts)

    def matrix(self, depth):
        if depth > 0 and self.chance(0.25):
            inner = self.vector(depth - 1)
            inner = inner if self.chance(0.1) else f"({inner})"
            step = self.pick(["", *DURATIONS])
            return f"{inner}[{self.pick(DURATIONS)}:{step}]{self.modifiers()}"
        return f"{self.selector()}[{self.pick(DURATIONS)}]{self.modifiers()}"

    def scalar(self, depth):
        roll = self.random.random()
        if depth <= 0 or roll < 0.5:
            return self.pick(NUMBERS)
        if roll < 0.6:
            return f"-{self.scalar(depth - 1)}"
        if roll < 0.7:
            return f"({self.scalar(depth - 1)})"
        if roll < 0.8:
            return self.pick(["time()", "pi()", f"scalar({self.vector(depth - 1)})"])
        operator = self.pick([operator for operator in BINARY if operator not in SETS])
        left, right = self.scalar(depth - 1), self.scalar(depth - 1)
        return f"{left} {operator}{' bool' if operator in COMPARE else ''} {right}"

    def vector(self, depth):
        if depth <= 0 or self.chance(0.2):
            return self.selector() + self.modifiers()
        kind = self.pick(
            [self.call, self.call, self.aggregate, self.aggregate, self.binary, self.binary, self.binary, self.wrapped]
        )
        return kind(depth - 1)

    def wrapped(self, depth):
        inner = self.vector(depth)
        return self.pick([f"({inner})", f"-{inner}", f"+ {inner}"])

    def call(self, depth):
        kind = self.random.randrange(6)
        if kind <= 1:
            return f"{self.pick(OF_RANGE)}({self.matrix(depth)})"
        if kind == 2:
            return f"{self.pick(OF_VECTOR)}({self.vector(depth)})"
        if kind == 3:
            return f"histogram_quantile({self.scalar(depth)}, {self.vector(depth)})"
        if kind == 4:
            return f'label_replace({self.vector(depth)}, "dst", "$1", "src", "(.*)")'
        return self.pick(
            [
                f"round({self.vector(depth)})",
                f"round({self.vector(depth)}, {self.scalar(depth)})",
                f"clamp({self.vector(depth)}, {self.scalar(depth)}, {self.scalar(depth)})",
                f"vector({self.scalar(depth)})",
                "hour()",
                f"quantile_over_time({self.scalar(depth)}, {self.matrix(depth)})",
                f"predict_linear({self.matrix(depth)}, {self.scalar(depth)})",
                f'label_join({self.vector(depth)}, "dst", "-", "a", "b")',
                f'sort_by_label({self.vector(depth)}, "a")',
            ]
        )

    def aggregate(self, depth):
        operator = self.pick(AGGREGATIONS)
        body = self.vector(depth)
        if self.chance(0.2):
            operator, body = self.pick(WITH_NUMBER), f"{self.scalar(depth)}, {body}"
        elif self.chance(0.05):
            operator, body = "count_values", f'"value", {body}'
        if self.chance(0.1):
            operator = operator.upper()
        grouping = f"{self.pick(['by', 'without'])} {self.labels()}"
        return self.pick([f"{operator}({body})", f"{operator} {grouping} ({body})", f"{operator}({body}) {grouping}"])

    def binary(self, depth):
        operator = self.pick(BINARY)
        modifiers = ""
        if operator in COMPARE and self.chance(0.3):
            modifiers += " bool"
        left, right = self.vector(depth), self.vector(depth)
        if operator not in SETS and self.chance(0.3):
            left, right = self.pick([(self.scalar(depth), right), (left, self.scalar(depth))])
            return f"{left} {operator}{modifiers} {right}"
        if self.chance(0.3):
            modifiers += f" {self.pick(['on', 'ignoring'])} (job)"
            if operator not in SETS and self.chance(0.5):
                modifiers += f" {self.pick(['group_left', 'group_right'])} {self.pick(['()', '(code)', '(code, le)'])}"
        if operator not in SETS and self.chance(0.1):
            modifiers += f" {self.pick(['fill(0)', 'fill_left(1.5)', 'fill_right(-1)', 'fill_left(1) fill_right(2)'])}"
        return f"{left} {operator}{modifiers} {right}"

    def mutated(self, text):
        """The text with a small fault or two."""
        for _ in range(self.pick([1, 1, 1, 2])):
            at = self.random.randrange(len(text) + 1)
            end = min(len(text), at + self.pick([0, 0, 1, 1, 3]))
            fragment = self.pick(FRAGMENTS)
            text = self.pick(
                [text[:at] + text[end:], text[:at] + fragment + text[at:], text[:at] + fragment + text[end:], text[:at]]
            )
        return text


FRAGMENTS = [
    *'()[]{},:@="\'`+-*/%^<>!~#_.0159x \n\\é',
    *(f" {word} " for word in ["by", "on", "and", "or", "offset", "bool", "group_left", "without", "inf", "5m", "sum"]),
    "==", "=~", "!=", "(a)", "[5m]", "{a='b'}", "()", "0s", "1e", "0x", "start()", "fill(1)", "rate(",
]  # fmt: skip
