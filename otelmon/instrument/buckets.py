"""Buckets: into which bucket of the two histograms a duration falls, found by one look-up.

The exponential histogram (SCALE) and the explicit one (BOUNDS) are counted together. All their bounds make one sorted
list; the place of a duration in it, its *slot*, determines both buckets, so the hot path searches and counts once and
a snapshot splits the slots afterwards. Exponential indices are OpenTelemetry's: bucket k holds
base**k < v <= base**(k + 1) with base = 2**(2**-SCALE)
(https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from math import frexp, ldexp

from otelmon.instrument.model import BOUNDS, SCALE

_PER_OCTAVE = 1 << SCALE
_MANTISSAS = tuple(2.0 ** (step / _PER_OCTAVE) for step in range(_PER_OCTAVE))
# Slots reach from 1 microsecond to 4096 seconds; what lies outside is counted by its exponential index alone.
_FIRST_OCTAVE, _LAST_OCTAVE = -20, 12

SLOT_BOUNDS: list[float] = sorted(
    {ldexp(mantissa, octave) for octave in range(_FIRST_OCTAVE, _LAST_OCTAVE) for mantissa in _MANTISSAS} | set(BOUNDS)
)
"""Upper bounds of the slots in seconds, each inclusive: ``bisect_left(SLOT_BOUNDS, seconds)`` is a duration's slot.

Slot 0 and slot ``len(SLOT_BOUNDS)`` are open-ended; `outer_slot` gives the exact one there.
"""

ZERO_SLOT = -1
_OUTSIDE = 1 << 20


def exponential_index(value: float) -> int:
    """OpenTelemetry's bucket index at SCALE of a positive, finite value; exact at the bounds, which are inclusive."""
    mantissa, exponent = frexp(value)
    return (exponent - 1) * _PER_OCTAVE + bisect_left(_MANTISSAS, 2.0 * mantissa) - 1


def outer_slot(value: float) -> int:
    """The slot of a value below the first or above the last of SLOT_BOUNDS; values that are not positive share one."""
    if not value > 0.0:
        return ZERO_SLOT
    return _OUTSIDE + exponential_index(value)


_EXPONENTIAL_OF = tuple(exponential_index(bound) for bound in SLOT_BOUNDS)
_EXPLICIT_OF = tuple(bisect_left(BOUNDS, bound) for bound in SLOT_BOUNDS)


def split_slots(counts: Mapping[int, int]) -> tuple[int, dict[int, int], tuple[int, ...]]:
    """Turn counts by slot into (zero count, counts by exponential index, counts by explicit bucket)."""
    zero_count = 0
    exponential: dict[int, int] = {}
    explicit = [0] * (len(BOUNDS) + 1)
    for slot, count in counts.items():
        if slot == ZERO_SLOT:
            zero_count += count
            explicit[0] += count
            continue
        if 0 <= slot < len(SLOT_BOUNDS):
            index, bucket = _EXPONENTIAL_OF[slot], _EXPLICIT_OF[slot]
        else:
            index = slot - _OUTSIDE
            bucket = 0 if index < 0 else len(BOUNDS)
        exponential[index] = exponential.get(index, 0) + count
        explicit[bucket] += count
    return zero_count, exponential, tuple(explicit)
