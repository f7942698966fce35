"""The switches that stand in for what breaks in real life."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

router = APIRouter()
faults: set[str] = set()
# What is done when a fault is switched on, and off; most are only looked at where they matter.
effects: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {}


@router.put("/faults/{name}", status_code=204)
def switch_on(name: str) -> None:
    """Break something: ``errors``, ``slow``, ``disk``, ``connections``, ``health`` or ``uploads``."""
    faults.add(name)
    if name in effects:
        effects[name][0]()


@router.delete("/faults/{name}", status_code=204)
def switch_off(name: str) -> None:
    """Mend it."""
    faults.discard(name)
    if name in effects:
        effects[name][1]()
