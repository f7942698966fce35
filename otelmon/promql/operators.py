"""The binary operators and how strongly they bind (Prometheus, ``generatedParser.y``)."""

from __future__ import annotations

SET_OPERATORS = frozenset({"and", "or", "unless"})
COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
TRIMS = frozenset({"</", ">/"})
"""They cut a native histogram above or below a value."""
WORD_OPERATORS = SET_OPERATORS | {"atan2"}

PRECEDENCE: dict[str, int] = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys(sorted(COMPARISONS | TRIMS), 3),
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "%": 5,
    "atan2": 5,
    "^": 6,
}
"""How strongly each binary operator binds; all associate to the left but ``^``."""

POWER = PRECEDENCE["^"]
"""What a sign in front binds: ``-a ^ b`` is ``-(a ^ b)``, ``-a * b`` is ``(-a) * b``."""

DURATION_OPERATORS = frozenset("+-*/%^")


def right_precedence(operator: str) -> int:
    """How strongly an operator must bind to be read into the right side of this one."""
    return PRECEDENCE[operator] + (0 if operator == "^" else 1)
