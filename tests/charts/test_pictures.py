"""Charts are drawn by a process of its own; whatever becomes of it, nobody waits longer than they said."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace

import pytest

from otelmon.notify import chart_child, pictures
from otelmon.notify.pictures import PICTURE_LIMIT, Pictures, can_draw
from tests.charts.charts import GAP, TWICE

LONG = 60.0


class Time:
    """Monotonic seconds that a test moves."""

    def __init__(self):
        self.at = 1000.0

    def __call__(self):
        return self.at


@pytest.fixture
def drawn_by(tmp_path):
    """Pictures with a child that runs these lines, and the time they go by; each line it reads, it writes to a file."""
    made = []

    def make(program):
        at = Time()
        made.append(Pictures(tmp_path / "fonts", command=(sys.executable, "-I", "-c", program), monotonic=at))
        return made[-1], at

    yield make
    for each in made:
        each.close()
    wait_until(lambda: not any(thread.name == "otelmon-pictures" for thread in threading.enumerate()))


def wait_until(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("not so within 30 s")


ANSWERING = """
import os, sys
open({log!r}, "a").write("started\\n")
for line in sys.stdin.buffer:
    os.write(1, (7).to_bytes(4, "big") + b"picture")
"""


def test_a_chart_is_drawn_elsewhere_and_kept(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib (the extra `charts`) is not installed")
    assert can_draw()
    drawn = Pictures(tmp_path / "state" / "fonts")
    try:
        assert drawn.ready(GAP) is None
        assert drawn.draw(GAP, LONG)
        picture = drawn.ready(GAP)
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < PICTURE_LIMIT
        assert drawn.draw(replace(GAP, bound=None), LONG)
        assert drawn.ready(GAP) is picture
        assert [each.name for each in (tmp_path / "state" / "fonts").iterdir() if each.name.startswith("fontlist")]
    finally:
        drawn.close()
    wait_until(lambda: not any(thread.name == "otelmon-pictures" for thread in threading.enumerate()))


def test_the_child_is_asked_again_and_only_the_last_pictures_are_kept(drawn_by, tmp_path):
    log = tmp_path / "log"
    drawn, _ = drawn_by(ANSWERING.format(log=str(log)))
    charts = [replace(GAP, bound=float(number)) for number in range(20)]
    assert all(drawn.draw(chart, LONG) for chart in charts)
    assert log.read_text() == "started\n"
    assert [drawn.ready(chart) is not None for chart in charts] == [False] * 4 + [True] * 16


def test_a_child_that_was_not_used_for_long_is_replaced_before_it_ends(drawn_by, tmp_path):
    log = tmp_path / "log"
    drawn, at = drawn_by(ANSWERING.format(log=str(log)))
    assert drawn.draw(GAP, LONG)
    at.at += chart_child.IDLE_SECONDS - 5
    assert drawn.draw(TWICE, LONG)
    assert log.read_text() == "started\n" * 2


def test_one_that_hangs_costs_the_time_that_was_given_and_then_nothing_for_a_while(drawn_by, tmp_path):
    log = tmp_path / "log"
    drawn, at = drawn_by(f"open({str(log)!r}, 'a').write('started\\n'); import time; time.sleep(600)")
    began = time.monotonic()
    assert not drawn.draw(GAP, 0.2)
    assert not drawn.draw(TWICE, LONG)  # behind one that is late: not waited for at all
    assert time.monotonic() - began < LONG / 2
    wait_until(log.exists)
    at.at += pictures.LATE_SECONDS + 1
    assert not drawn.draw(TWICE, LONG)
    at.at += 60
    assert not drawn.draw(TWICE, LONG)
    assert log.read_text() == "started\n"


def test_a_picture_that_comes_late_is_there_later(drawn_by, tmp_path):
    go = tmp_path / "go"
    waiting = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    drawn, _ = drawn_by(waiting + ANSWERING.format(log=str(tmp_path / "log")))
    assert not drawn.draw(GAP, 0.01)
    assert drawn.ready(GAP) is None
    go.touch()
    wait_until(lambda: drawn.ready(GAP) == b"picture")
    assert drawn.draw(TWICE, LONG)


FAILING = {
    "ends": "pass",
    "raises": "raise SystemExit(1)",
    "answers that it failed": "import os, sys; sys.stdin.readline(); os.write(1, bytes(4))",
    "answers too much": "import os, sys; sys.stdin.readline(); os.write(1, b'\\xff' * 1000); sys.stdin.readline()",
    "answers by halves": "import os, sys; sys.stdin.readline(); os.write(1, bytes([0, 0, 1, 0]) + b'x')",
    "prints first": "import sys; print('hello hello'); sys.stdout.flush(); sys.stdin.readline()",
}


@pytest.mark.parametrize("program", FAILING.values(), ids=FAILING)
def test_one_that_fails_is_left_alone_for_a_while_and_then_tried_again(program, drawn_by, tmp_path):
    log = tmp_path / "log"
    drawn, at = drawn_by(f"open({str(log)!r}, 'a').write('started\\n')\n{program}")
    assert not drawn.draw(GAP, LONG)
    wait_until(lambda: drawn._child.gone)
    at.at += 1
    assert not drawn.draw(GAP, LONG)
    assert log.read_text() == "started\n"
    at.at += 301
    assert not drawn.draw(GAP, LONG)
    assert log.read_text() == "started\n" * 2


def test_after_the_end_nothing_is_started_and_what_is_ready_stays(drawn_by, tmp_path):
    log = tmp_path / "log"
    drawn, _ = drawn_by(ANSWERING.format(log=str(log)))
    assert drawn.draw(GAP, LONG)
    drawn.close()
    assert not drawn.draw(TWICE, LONG)
    assert drawn.ready(GAP) == b"picture"
    assert log.read_text() == "started\n"


def test_a_program_that_cannot_be_started_draws_nothing(tmp_path):
    drawn = Pictures(tmp_path, command=(str(tmp_path / "nothing"),))
    assert not drawn.draw(GAP, LONG)
    assert not drawn.draw(GAP, LONG)


def test_the_child_sees_neither_secrets_nor_what_runs_at_the_start_of_the_application(drawn_by, tmp_path, monkeypatch):
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", "https://secret")
    log = tmp_path / "log"
    drawn, _ = drawn_by(f"import os; open({str(log)!r}, 'w').write(repr(dict(os.environ)) + os.getcwd())")
    drawn.draw(GAP, LONG)
    assert "secret" not in log.read_text()
    assert log.read_text().endswith(str(tmp_path / "fonts"))


def test_an_interpreter_is_found_below_a_server_that_embeds_one(monkeypatch, tmp_path):
    assert pictures._python() == sys.executable
    monkeypatch.setattr(sys, "executable", "/usr/sbin/uwsgi")
    assert pictures._python().endswith("python3")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert not can_draw()


def test_a_chart_that_nobody_can_draw_leaves_the_child_alive(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib (the extra `charts`) is not installed")
    assert chart_child._drawn(b"nonsense") == b""
    assert chart_child._drawn(b'{"points": []}') == b""
    assert chart_child._drawn(b"null") == b""
