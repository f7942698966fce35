"""People, schedules, escalation and notices in a real otelmon.yaml: what is wrong is told with file and line."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest

from otelmon.config.load import load_settings
from otelmon.config.settings import Settings
from otelmon.errors import ConfigError
from otelmon.oncall.shifts_told import NoticeSettings
from tests.oncall.test_load import MALFORMED


def load(folder: Path, text: str) -> Settings:
    path = folder / "otelmon.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ={"OTEL_SERVICE_NAME": "shop"}, directory=folder)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_schedule_is_refused_with_file_line_and_what_to_write(name: str, tmp_path: Path) -> None:
    text, line, message, hint = MALFORMED[name]
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text)
    said = [one for one in str(refused.value).splitlines() if f"otelmon.yaml:{line}:" in one and message in one]
    assert said, refused.value
    assert any(hint in one for one in str(refused.value).splitlines()), refused.value


def test_there_are_more_than_thirty_kinds() -> None:
    assert len(MALFORMED) >= 45


def test_notices_are_on_unless_they_are_switched_off(tmp_path: Path) -> None:
    assert load(tmp_path, "service: shop").notices == NoticeSettings()
    assert load(tmp_path, "oncall_notices: on").notices == NoticeSettings()
    nothing = NoticeSettings(shift_start=False, shift_end=False, reminder=None, changes=False)
    assert load(tmp_path, "oncall_notices: off").notices == nothing
    some = load(tmp_path, "oncall_notices: {shift_end: off, reminder: 17:30}").notices
    assert some == NoticeSettings(shift_end=False, reminder=time(17, 30))
    assert load(tmp_path, "oncall_notices: {reminder: off}").notices.reminder is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{shift_strat: on}", 'did you mean "shift_start"?'),
        ("{shift_start: maybe}", "write true or false"),
        ("{reminder: 1080}", "such as 18:00"),
        ("{reminder: evening}", "such as 18:00"),
        ("[changes]", "a section of keys expected"),
    ],
)
def test_notices_that_cannot_be_meant_are_refused(written: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"otelmon\.yaml:1:") as refused:
        load(tmp_path, f"oncall_notices: {written}")
    assert said in str(refused.value)
