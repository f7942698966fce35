from __future__ import annotations

import logging
import threading

import pytest

from otelmon.collect.quiet import OnceFilter


def test_only_our_own_warnings_are_shown_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("some.module")
    noted: list[str] = []
    once = OnceFilter(noted.append, by_template=True)
    log.addFilter(once)
    try:

        def elsewhere() -> None:
            log.error("failed in %d s", 9)

        log.error("failed in %d s", 0)
        for _ in range(2):
            with once.on_this_thread():
                log.error("failed in %d s", 1)
                log.error("failed in %d s", 2)
                other = threading.Thread(target=elsewhere)
                other.start()
                other.join()
        once.clear()
        with once.on_this_thread():
            log.error("failed in %d s", 3)
    finally:
        log.removeFilter(once)
    assert [record.getMessage() for record in caplog.records] == [
        f"failed in {seconds} s" for seconds in (0, 1, 9, 9, 3)
    ]
    assert noted == [f"failed in {seconds} s" for seconds in (1, 2, 1, 2, 3)]
