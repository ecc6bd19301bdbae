"""What a run says of itself."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicehub.simulator.client import Answer
from devicehub.simulator.report import Histogram, Tally


def figures(summary: str) -> dict[str, str]:
    """A summary's figures by their names."""
    rows = (line.strip().rsplit("  ", 1) for line in summary.splitlines())
    return {name.strip(): value for name, value in rows}


@given(st.lists(st.floats(0.0001, 60), min_size=1, max_size=300), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_percentiles_are_within_one_percent_of_the_exact_ones(latencies: list[float], share: float) -> None:
    histogram = Histogram()
    for latency in latencies:
        histogram.add(latency)
    exact = sorted(latencies)[math.ceil(round(share * len(latencies), 9)) - 1]
    assert histogram.percentile(share) == pytest.approx(exact, rel=0.011)


def test_there_is_no_percentile_of_nothing() -> None:
    assert Histogram().percentile(0.95) is None


def test_the_summary_counts_errors_by_status_and_code() -> None:
    tally = Tally()
    for error in (None, None, "503 BUSY", "503 BUSY", "429 DEVICE_RATE_LIMIT_EXCEEDED"):
        tally.sending()
        tally.answered(0.004, error)
    tally.sending()
    tally.unanswered("no answer: timed out")
    said = figures(tally.summary())
    assert (said["sent"], said["ok"], said["errors"]) == ("6", "2", "4")
    assert said["503 BUSY"] == "2"
    assert said["429 DEVICE_RATE_LIMIT_EXCEEDED"] == "1"
    assert said["no answer: timed out"] == "1"
    assert said["p99"].endswith(" ms")
    assert not tally.clean


def test_a_beat_without_its_answer_is_no_success() -> None:
    tally = Tally()
    tally.sending()
    assert figures(tally.summary())["unanswered"] == "1"
    assert not tally.clean


def test_a_run_that_sent_nothing_had_no_error() -> None:
    tally = Tally()
    assert tally.clean
    assert figures(tally.summary())["p95"] == "-"


def test_progress_tells_the_recent_seconds_and_forgets_the_old_ones() -> None:
    now = [0.0]
    tally = Tally(now=lambda: now[0])
    for second in range(60):
        now[0] = second + 0.5
        for _ in range(10 if second < 30 else 4):
            tally.sending()
            tally.answered(2.0 if second < 30 else 0.02)
    now[0] = 60.0
    line = tally.progress(online=3, devices=5)
    assert line.startswith("01:00  3/5 online  420 beats  4.0 beats/s")
    assert "p95 20." in line or "p95 19." in line
    assert line.endswith("0 errors")


@pytest.mark.parametrize(
    ("status", "body", "ok", "code"),
    [
        (200, {"presence": "online"}, True, "NO_CODE"),
        (200, None, False, "NOT_JSON"),
        (503, {"code": "BUSY"}, False, "BUSY"),
        (502, None, False, "NOT_JSON"),
    ],
)
def test_only_a_json_object_with_a_2xx_is_a_yes(status: int, body: object, ok: bool, code: str) -> None:
    assert (Answer(status, body).ok, Answer(status, body).code) == (ok, code)
