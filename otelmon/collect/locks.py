"""The SDK's locks in a forked child.

The SDK does not make them anew: a child that is forked while another thread records or collects has one that is held
for ever, and hangs in the first request that records (open-telemetry/opentelemetry-python, as of 1.45).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakSet

from opentelemetry.sdk.metrics import MeterProvider

_OF_SDK = "opentelemetry.sdk.metrics"
_PLAIN = (str, int, float, type(None))
_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())

_providers: WeakSet[MeterProvider] = WeakSet()


def renew_after_forks(provider: MeterProvider) -> None:
    """Make this provider's locks anew in each forked child."""
    _providers.add(provider)


def renew(roots: Iterable[object]) -> None:
    """Replace every lock of the SDK's objects, and of their classes, that can be reached from these by a free one.

    Only where no other thread runs. It goes by the types and names no attribute, since those are the SDK's own affair.
    """
    waiting, seen = list(roots), set[int]()
    while waiting:
        each: Any = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Mapping):
            waiting.extend(each.values())
        elif isinstance(each, list | tuple | set | frozenset):
            waiting.extend(each)
        elif type(each).__module__.startswith(_OF_SDK):
            waiting.extend(_free(each))
            if id(type(each)) not in seen:
                seen.add(id(type(each)))
                for base in type(each).__mro__:
                    if base.__module__.startswith(_OF_SDK):
                        _free(base)


def _free(thing: Any) -> list[object]:
    """Make the locks of an object or a class anew; what else it has."""
    others: list[object] = []
    for name, value in list(getattr(thing, "__dict__", {}).items()):
        if isinstance(value, _LOCK):
            setattr(thing, name, threading.Lock())
        elif isinstance(value, _RLOCK):
            setattr(thing, name, threading.RLock())
        elif not isinstance(value, _PLAIN):
            others.append(value)
    return others


def _in_child() -> None:
    renew(_providers)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
