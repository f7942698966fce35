"""Charts that tests draw, and pictures that were looked at and kept (`python -m tests.charts.charts` draws those)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from otelmon.incidents.chart import Chart
from otelmon.rules.model import Severity, Unit

PICTURES = Path(__file__).parent / "pictures"
START = 1_767_614_400.0  # 12:00 in UTC


def minutes(value: Callable[[int], float | None], count: int = 61) -> tuple[tuple[float, float | None], ...]:
    """A value a minute, from 12:00 on."""
    return tuple((START + 60 * index, value(index)) for index in range(count))


def _failing(minute: int) -> float | None:
    if 15 <= minute < 27 or minute in (36, 38):
        return None
    return 0.004 + 0.002 * (minute % 3) if minute < 46 else min(0.124, 0.02 * (minute - 45))


def _slow(minute: int) -> float:
    return 420 + 20.0 * (minute % 4) + (900 if 15 <= minute < 24 or minute >= 50 else 0)


GAP = Chart(
    points=minutes(_failing),
    unit=Unit.RATIO,
    severity=Severity.CRITICAL,
    bound=0.05,
    firing=((START + 49 * 60, None),),
    deploys=((START + 44 * 60, "v1.4.2"),),
)
TWICE = Chart(
    points=minutes(_slow),
    unit=Unit.MILLISECONDS,
    severity=Severity.WARNING,
    bound=1000.0,
    firing=((START + 17 * 60, START + 26 * 60), (START + 52 * 60, None)),
    deploys=((START + 2 * 60, "2026.01.05-rc1"), (START + 58 * 60, "v2.0.0")),
)
KEPT = {"gap": GAP, "twice": TWICE}


def main() -> None:
    from otelmon.notify.chart import draw

    for name, chart in KEPT.items():
        (PICTURES / f"{name}.png").write_bytes(draw(chart))


if __name__ == "__main__":
    main()
