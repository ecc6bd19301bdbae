"""The clock: UTC, whole milliseconds, movable."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

from flask import Flask

from devicehub.core import clock, mongo


def test_a_stored_time_equals_the_one_it_was_stored_from(app: Flask) -> None:
    moment = clock.now()
    mongo.database()["times"].insert_one({"_id": "now", "at": moment})
    found = mongo.database()["times"].find_one({"_id": "now"})
    assert found is not None and found["at"] == moment


def test_times_are_written_in_utc_with_three_digits_whatever_their_zone() -> None:
    moment = datetime(2026, 1, 31, 13, 0, 0, 999, tzinfo=timezone(timedelta(hours=1)))
    assert clock.rfc3339(moment) == "2026-01-31T12:00:00.000Z"
    assert clock.rfc3339(datetime(2026, 1, 31, 12, 0, 0, 120_000, UTC)) == "2026-01-31T12:00:00.120Z"


def test_moves_add_up_and_end() -> None:
    before = clock.now()
    with clock.moved(timedelta(hours=1)), clock.moved(timedelta(minutes=1)):
        inside = clock.now()
    assert timedelta(minutes=61) <= inside - before < timedelta(minutes=62)
    assert clock.now() - before < timedelta(minutes=1)


def test_time_zones_are_known_also_where_the_system_has_none() -> None:
    program = (
        "from devicehub.core import clock; print(len(clock.timezones()), 'Europe/Berlin' in clock.timezones())"
    )
    env = os.environ | {"PYTHONTZPATH": ""}
    said = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    ).stdout
    number, berlin = said.split()
    assert int(number) > 400 and berlin == "True"
    assert not {"localtime", "Factory"} & clock.timezones()
