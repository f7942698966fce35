"""Sets of characters as ranges of code points: the classes that RE2 knows by name."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache

LAST = sys.maxunicode
"""The last code point."""

Ranges = tuple[tuple[int, int], ...]
"""First and last code point of each range."""

_DIGITS: Ranges = ((0x30, 0x39),)
_SPACES: Ranges = ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20))
_WORDS: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
PERL_CLASSES: dict[str, Ranges] = {"d": _DIGITS, "s": _SPACES, "w": _WORDS}
POSIX_CLASSES: dict[str, Ranges] = {
    "alnum": ((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)),
    "alpha": ((0x41, 0x5A), (0x61, 0x7A)),
    "ascii": ((0x00, 0x7F),),
    "blank": ((0x09, 0x09), (0x20, 0x20)),
    "cntrl": ((0x00, 0x1F), (0x7F, 0x7F)),
    "digit": _DIGITS,
    "graph": ((0x21, 0x7E),),
    "lower": ((0x61, 0x7A),),
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": ((0x09, 0x0D), (0x20, 0x20)),
    "upper": ((0x41, 0x5A),),
    "word": _WORDS,
    "xdigit": ((0x30, 0x39), (0x41, 0x46), (0x61, 0x66)),
}

_GENERAL_CATEGORIES = re.compile(r"C[cfos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?")


def merged(ranges: Ranges) -> Ranges:
    """The same characters in ascending ranges that neither touch nor overlap."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def complement(ranges: Ranges) -> Ranges:
    """All other characters."""
    outside = []
    following = 0
    for low, high in merged(ranges):
        if low > following:
            outside.append((following, low - 1))
        following = high + 1
    if following <= LAST:
        outside.append((following, LAST))
    return tuple(outside)


@lru_cache(maxsize=64)
def general_category(name: str) -> Ranges | None:
    """The characters of a Unicode general category such as ``L`` or ``Lu``; None where there is no such category."""
    if not _GENERAL_CATEGORIES.fullmatch(name):
        return None
    ranges: list[tuple[int, int]] = []
    start: int | None = None
    for code_point in range(LAST + 2):
        inside = code_point <= LAST and _in_category(unicodedata.category(chr(code_point)), name)
        if inside and start is None:
            start = code_point
        elif not inside and start is not None:
            ranges.append((start, code_point - 1))
            start = None
    return tuple(ranges)


def _in_category(category: str, name: str) -> bool:
    # Unassigned code points (Cn) belong to no class of Go's, not even to C.
    return category != "Cn" and category.startswith(name)
