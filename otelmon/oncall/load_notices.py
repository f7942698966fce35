"""Reading what people are told of their shifts: ``oncall_notices: {shift_start: on, reminder: 18:00, changes: on}``."""

from __future__ import annotations

from otelmon.document.fields import Fields, Problems, as_boolean
from otelmon.oncall.load_schedule import read_time
from otelmon.oncall.shifts_told import NoticeSettings

KEY = "oncall_notices"
"""The key at the top of otelmon.yaml that is read here."""
_NOTHING = NoticeSettings(shift_start=False, shift_end=False, reminder=None, changes=False)


def read_notices(fields: Fields | None, problems: Problems) -> NoticeSettings:
    """What is written, and the defaults for what is not; ``off`` for all or any of them. Problems are noted."""
    default = NoticeSettings()
    value = None if fields is None else fields.value(KEY)
    if fields is None or value is None:
        return default
    switched = as_boolean(value)
    if switched is not None:
        return default if switched else _NOTHING
    section = fields.sub(KEY)
    if section is None:
        return default
    inner = Fields(section, problems, known=("shift_start", "shift_end", "reminder", "changes"), path=KEY)
    start, end, changes = (inner.boolean(name) for name in ("shift_start", "shift_end", "changes"))
    written = inner.value("reminder")
    reminder = default.reminder
    if written is not None:
        reminder = None if as_boolean(written) is False else read_time(inner, "reminder")
    return NoticeSettings(
        shift_start=default.shift_start if start is None else start,
        shift_end=default.shift_end if end is None else end,
        reminder=reminder,
        changes=default.changes if changes is None else changes,
    )
