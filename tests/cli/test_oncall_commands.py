"""`otelmon oncall` as a person types it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result
from icalendar import Calendar
from typer.testing import CliRunner

from otelmon.cli.main import app
from otelmon.cli.moments import Reader, typed_moment
from otelmon.cli.oncall_calendar import lines
from otelmon.config.load import load_settings
from otelmon.errors import OtelmonError
from otelmon.oncall.layer import Layer
from otelmon.oncall.overrides import Override
from otelmon.oncall.rotation import Rotation
from otelmon.oncall.schedule import Schedule
from otelmon.storage.sqlite import SqliteStorage

LISBON = ZoneInfo("Europe/Lisbon")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONFIG = """\
service: shop
people:
  ana: {discord: 112233445566778899, time_zone: Europe/Lisbon}
  bo: {discord: 223344556677889900, time_zone: America/Chicago}
schedules:
  backend:
    time_zone: Europe/Lisbon
    layers:
      - {rotation: weekly, start: 2026-01-05 09:00, participants: [ana, bo]}
escalation:
  default: {fallback_role: 998877665544332211, steps: [{notify: [schedule: backend]}]}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OTELMON_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.setenv("TZ", "Europe/Lisbon")
    monkeypatch.chdir(tmp_path)
    write(CONFIG)
    return tmp_path


def write(text: str) -> None:
    Path("otelmon.yaml").write_text(text, encoding="utf-8")


def oncall(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["oncall", *arguments])
    assert done.exit_code == code, done.output
    return done


def on_call_now() -> str:
    settings = load_settings("otelmon.yaml", environ={}, directory=Path.cwd())
    return settings.team.schedules["backend"].on_call(datetime.now(UTC))[0]


def test_it_says_who_is_on_call_now_and_next_in_the_readers_own_time(here: Path) -> None:
    lisbon, chicago = oncall().stdout, oncall("--zone", "America/Chicago").stdout
    assert re.search(rf"now   {on_call_now()} until Mon .* 09:00", lisbon)
    assert re.search(r"next  (ana|bo) from Mon .* 09:00 until Mon .* 09:00", lisbon)
    assert re.search(r"until Mon .* 0[34]:00", chicago)
    assert not (here / "state").exists()
    assert "Europe/Lisbonn' is no time zone; did you mean" in oncall("--zone", "Europe/Lisbonn", code=1).stderr


def test_without_schedules_it_says_what_to_write(here: Path) -> None:
    write("service: shop\n")
    said = oncall(code=1).stderr
    assert said.startswith("no schedules are configured")
    write(said.partition("\n\n")[2])
    assert "ana without an end" in oncall().stdout


def test_an_override_is_added_listed_shown_in_the_calendar_and_removed(here: Path) -> None:
    now, other = on_call_now(), "bo" if on_call_now() == "ana" else "ana"
    said = oncall(
        "override", "add", "--from", "now", "--to", "+2h", "--person", other, "--replaces", now,
        "--reason", "dentist", "--by", "cy",
    ).stdout  # fmt: skip
    id_ = re.search(r"added (O\w+):", said)
    assert id_ is not None
    assert f"{other} for {now}, dentist, by cy" in said
    assert f"now   {other} until" in oncall().stdout
    assert id_[1] in oncall("override", "list").stdout
    assert f"{other} for {now} (dentist, by cy)" in oncall("calendar").stdout
    oncall("override", "remove", id_[1].lower())
    assert "no override" in oncall("override", "remove", id_[1], code=1).stderr
    assert "no overrides" in oncall("override", "list").stdout
    assert "removed by" in oncall("override", "list", "--all").stdout
    assert f"now   {now} until" in oncall().stdout


def test_a_swap_is_two_overrides(here: Path) -> None:
    oncall("swap", "ana", "bo", "--by", "cy", "--reason", "holiday")
    with SqliteStorage(here / "state" / "shop" / "state.db") as storage:
        made = sorted((one.override.person, one.override.replaces, one.override.reason) for one in storage.overrides())
    assert made == [("ana", "bo", "holiday"), ("bo", "ana", "holiday")]
    now = on_call_now()
    with SqliteStorage(here / "state" / "shop" / "state.db") as storage:
        for one in storage.overrides():
            storage.remove_override(one.id, "cy", NOW)
    other = "bo" if now == "ana" else "ana"
    said = oncall("swap", other, now, "--shift", "now", code=1).stderr
    assert f"backend: {other} is not on call then; {other} is on call Mon" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "now", "--to", "+2h"], "say who"),
        (["--from", "now", "--to", "+2h", "--person", "anna"], "no person 'anna'; did you mean \"ana\"?"),
        (["--from", "now", "--to", "+2h", "--person", "ana", "--schedule", "backed"], 'did you mean "backend"?'),
        (["--from", "2020-01-01 00:00", "--to", "+2h", "--person", "ana"], "it is over already"),
        (["--from", "+2h", "--to", "now", "--person", "ana"], "before it begins"),
        (["--from", "2060-12-24", "--to", "+2h", "--person", "ana"], "write it, such as 2060-12-24 00:00"),
        (["--from", "monday", "--to", "+2h", "--person", "ana"], "is no date with a time; write"),
        (["--from", "2060-03-28 01:30", "--to", "+2h", "--person", "ana"], "write 2060-03-28 02:00 or later"),
        (["--from", "+2x", "--to", "+2h", "--person", "ana"], "write +30m, +2h or +1d"),
        (["--from", "now", "--to", "+2h", "--person", "ana", "--replaces", "ana"], "replace themselves"),
    ],
)
def test_an_override_that_cannot_be_meant_is_refused_in_words(here: Path, arguments: list[str], said: str) -> None:
    assert said in oncall("override", "add", *arguments, code=1).stderr
    assert not (here / "state").exists()


def test_who_does_not_declare_the_services_name_is_told_to_start_the_app_first(here: Path) -> None:
    write(CONFIG.replace("service: shop\n", ""))
    said = oncall("override", "add", "--from", "now", "--to", "+2h", "--person", "ana", code=1).stderr
    assert "start the app first" in said
    SqliteStorage(here / "state" / "blog" / "state.db").close()
    write(CONFIG)
    said = oncall("override", "add", "--from", "now", "--to", "+2h", "--person", "ana", code=1).stderr
    assert "but of blog; write --service NAME" in said
    assert "now   " in oncall().stdout
    oncall("override", "add", "--from", "now", "--to", "+2h", "--person", "ana", "--service", "blog")
    assert "no overrides" in oncall("override", "list").stdout
    assert "ana too" in oncall("override", "list", "--service", "blog").stdout


def test_times_are_understood_as_people_write_them() -> None:
    assert typed_moment("2026-12-24 09:00", ZoneInfo("America/Chicago"), now=NOW).at == NOW.replace(
        month=12, day=24, hour=15
    )
    assert typed_moment("2026-12-24T09:00+01:00", LISBON, now=NOW).at == NOW.replace(month=12, day=24, hour=8)
    assert typed_moment("+90m", LISBON, now=NOW).at == NOW + timedelta(minutes=90)
    assert typed_moment("+1d", LISBON, now=NOW, since=NOW + timedelta(days=1)).at == NOW + timedelta(days=2)
    twice = typed_moment("2026-10-25 01:30", LISBON, now=NOW)
    assert twice.at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert (
        "comes twice in Europe/Lisbon; the first is meant (for the second write 2026-10-25T01:30+00:00)" in twice.note
    )
    assert typed_moment("2026-10-25T01:30+00:00", LISBON, now=NOW).at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    with pytest.raises(OtelmonError, match="no date with a time"):
        typed_moment("2026-02-30 09:00", LISBON, now=NOW)


def test_the_calendar_marks_gaps_overrides_turns_off_and_changes_of_the_clock() -> None:
    start = datetime(2026, 3, 16, 9, tzinfo=UTC)
    week = timedelta(weeks=1)
    rotation = Rotation(["ana", "bo", "nobody"], "weekly", 1, start.astimezone(LISBON))
    overrides = [
        Override(start=start, end=start + timedelta(hours=2), replaces="ana"),
        Override(start=start + week, end=start + week + timedelta(days=1), person="ana", replaces="bo", by="bo"),
    ]
    schedule = Schedule(name="backend", time_zone=LISBON, layers=[Layer(rotation=rotation)], overrides=overrides)
    table = list(lines(schedule, start, start + 3 * week - timedelta(hours=1), Reader(LISBON)))
    assert max(map(len, table)) < 80
    assert table == [
        "backend, 16 Mar 2026 to 06 Apr 2026",
        "times of Europe/Lisbon",
        "",
        "from              to                hours  on call",
        "Mon 16 Mar 09:00  Mon 16 Mar 11:00      2  NOBODY: a gap [1]",
        "Mon 16 Mar 11:00  Tue 24 Mar 09:00    190  ana [2]",
        "Tue 24 Mar 09:00  Mon 30 Mar 09:00    143  bo",
        "    the clock is put forward by 1:00 h before Sun 29 Mar 02:00",
        "Mon 30 Mar 09:00  Mon 06 Apr 09:00    168  nobody, on purpose",
        "[1] Mon 16 Mar 09:00 to Mon 16 Mar 11:00: without ana",
        "[2] Mon 23 Mar 09:00 to Tue 24 Mar 09:00: ana for bo (by bo)",
    ]


def test_a_handoff_in_the_hour_that_comes_twice_is_shown_with_its_offset() -> None:
    at = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert Reader(LISBON).shown(at) == "Sun 25 Oct 01:30+01"
    assert Reader(LISBON).shown(at + timedelta(hours=1)) == "Sun 25 Oct 01:30+00"


def test_a_report_counts_hours_that_add_up(here: Path) -> None:
    said = oncall("report", "--from", "2026-03-01", "--to", "2026-04-01").stdout
    hours = [float(line.split()[1]) for line in said.splitlines() if line.startswith(("ana", "bo"))]
    assert sum(hours) == 31 * 24 - 1
    assert "100.0 % covered, no gaps" in said
    assert "no incidents" in said
    assert "--to is not after" in oncall("report", "--from", "2026-03-01", "--to", "2026-02-01", code=1).stderr


def test_a_check_fails_for_gaps_people_without_an_id_and_overrides_of_nobody(here: Path) -> None:
    assert "all can be reached" in oncall("check").stdout
    oncall("override", "add", "--from", "+1d", "--to", "+2h", "--person", "bo")
    write(CONFIG.replace("[ana, bo]", "[ana]").replace("bo: {discord: 223344556677889900, time", "cy: {time"))
    said = oncall("check", code=1).stdout
    assert re.search(r"backend: the override O\w+ changes nothing: there is no bo among the people any more", said)
    write(CONFIG.replace("discord: 112233445566778899, ", "").replace("09:00, p", "09:00, only: {days: mon-fri}, p"))
    said = oncall("check", code=1).stdout
    assert "ana: there is no way to reach them" in said
    assert "backend: nobody is on call: 4 times more" in said or "backend: nobody is on call: 3 times more" in said
    write(CONFIG.replace("time_zone: Europe/Lisbon\n    layers", "time_zone: Europe/Lisbonn\n    layers"))
    assert "otelmon.yaml:7" in oncall("check", code=1).stderr


def test_a_feed_is_read_back_with_the_overrides_in_it(here: Path) -> None:
    now = on_call_now()
    other = "bo" if now == "ana" else "ana"
    oncall("override", "add", "--from", "now", "--to", "+5m", "--person", other, "--replaces", now)
    oncall("ical", "--schedule", "backend", "--output", "backend.ics")
    feed = Calendar.from_ical((here / "backend.ics").read_bytes())
    lengths = [event.decoded("dtend") - event.decoded("dtstart") for event in feed.walk("VEVENT")]
    assert len(lengths) > 25
    assert min(lengths) == timedelta(minutes=5)
    ours = Calendar.from_ical(oncall("ical", "--person", "ana").stdout)
    assert {str(event["summary"]) for event in ours.walk("VEVENT")} == {"ana on call: backend"}
    assert "not both" in oncall("ical", "--person", "ana", "--schedule", "backend", code=1).stderr
    assert "cannot be written" in oncall("ical", "--output", "no/such/folder.ics", code=1).stderr
