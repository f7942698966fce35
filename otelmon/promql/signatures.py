"""What functions and aggregations take and give (Prometheus, ``promql/parser/functions.go``)."""

from __future__ import annotations

from dataclasses import dataclass

from otelmon.promql.ast import ValueType

_S, _T, _V, _M = ValueType.SCALAR, ValueType.STRING, ValueType.VECTOR, ValueType.MATRIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A function's argument types and what it returns.

    ``variadic`` as in Prometheus: 0, all arguments are given; n > 0, the last may be left out or be given up to n
    times; -1, the last may be left out or be repeated without bound. ``experimental`` functions are behind a feature
    flag in Prometheus, here they are not.
    """

    name: str
    arguments: tuple[ValueType, ...]
    returns: ValueType = ValueType.VECTOR
    variadic: int = 0
    experimental: bool = False

    @property
    def fewest(self) -> int:
        """How many arguments a call has at least."""
        return len(self.arguments) - (1 if self.variadic else 0)

    @property
    def most(self) -> int | None:
        """How many arguments a call has at most; None for any number."""
        if self.variadic < 0:
            return None
        return self.fewest + self.variadic if self.variadic else len(self.arguments)

    def argument_type(self, index: int) -> ValueType:
        """The type of an argument, the last one's for repeated ones."""
        return self.arguments[min(index, len(self.arguments) - 1)]


# Every function of Prometheus 3, by argument types.
_OF_VECTOR = (
    "abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor histogram_avg histogram_count "
    "histogram_stddev histogram_stdvar histogram_sum ln log10 log2 rad sgn sin sinh sort sort_desc sqrt tan tanh "
    "timestamp"
)
_OF_MATRIX = (
    "absent_over_time avg_over_time changes count_over_time delta deriv idelta increase irate last_over_time "
    "max_over_time min_over_time present_over_time rate resets stddev_over_time stdvar_over_time sum_over_time"
)
_OF_MATRIX_EXPERIMENTAL = (
    "first_over_time mad_over_time ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time"
)
_OF_TIME = "day_of_month day_of_week day_of_year days_in_month hour minute month year"

_SIGNATURES = (
    *(Signature(name=name, arguments=(_V,)) for name in _OF_VECTOR.split()),
    *(Signature(name=name, arguments=(_M,)) for name in _OF_MATRIX.split()),
    *(Signature(name=name, arguments=(_M,), experimental=True) for name in _OF_MATRIX_EXPERIMENTAL.split()),
    *(Signature(name=name, arguments=(_V,), variadic=1) for name in _OF_TIME.split()),
    Signature(name="clamp", arguments=(_V, _S, _S)),
    Signature(name="clamp_max", arguments=(_V, _S)),
    Signature(name="clamp_min", arguments=(_V, _S)),
    Signature(name="double_exponential_smoothing", arguments=(_M, _S, _S), experimental=True),
    Signature(name="end", arguments=(), returns=_S, experimental=True),
    Signature(name="histogram_fraction", arguments=(_S, _S, _V)),
    Signature(name="histogram_quantile", arguments=(_S, _V)),
    Signature(name="histogram_quantiles", arguments=(_V, _T, _S, _S), variadic=10, experimental=True),
    Signature(name="info", arguments=(_V, _V), variadic=1, experimental=True),
    Signature(name="label_join", arguments=(_V, _T, _T, _T), variadic=-1),
    Signature(name="label_replace", arguments=(_V, _T, _T, _T, _T)),
    Signature(name="max_of", arguments=(_S, _S), returns=_S, experimental=True),
    Signature(name="min_of", arguments=(_S, _S), returns=_S, experimental=True),
    Signature(name="pi", arguments=(), returns=_S),
    Signature(name="predict_linear", arguments=(_M, _S)),
    Signature(name="quantile_over_time", arguments=(_S, _M)),
    Signature(name="range", arguments=(), returns=_S, experimental=True),
    Signature(name="round", arguments=(_V, _S), variadic=1),
    Signature(name="scalar", arguments=(_V,), returns=_S),
    Signature(name="sort_by_label", arguments=(_V, _T), variadic=-1, experimental=True),
    Signature(name="sort_by_label_desc", arguments=(_V, _T), variadic=-1, experimental=True),
    Signature(name="start", arguments=(), returns=_S, experimental=True),
    Signature(name="start_timestamp", arguments=(_V,), experimental=True),
    Signature(name="step", arguments=(), returns=_S, experimental=True),
    Signature(name="time", arguments=(), returns=_S),
    Signature(name="vector", arguments=(_S,)),
)

FUNCTIONS: dict[str, Signature] = {signature.name: signature for signature in _SIGNATURES}
"""Every function by its name."""

AGGREGATIONS: dict[str, ValueType | None] = {
    "avg": None,
    "bottomk": _S,
    "count": None,
    "count_values": _T,
    "group": None,
    "limit_ratio": _S,
    "limitk": _S,
    "max": None,
    "min": None,
    "quantile": _S,
    "stddev": None,
    "stdvar": None,
    "sum": None,
    "topk": _S,
}
"""Every aggregation by its name, with the type of its parameter (None: it takes none)."""

RENAMED: dict[str, str] = {"holt_winters": "double_exponential_smoothing"}
"""Functions of Prometheus 2 that have another name in Prometheus 3."""
