"""What presence must be, and that whatever differs from it is found."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicehub.simulator.expectation import GRACE, Move, Span, Terms, Told, expected, possible
from devicehub.simulator.scenarios import SCENARIOS, Plan, Setting, Shot
from devicehub.simulator.verdict import Finding, Verdict

TERMS = Terms(interval=5)
BEATS = [Span(0, 0.1), Span(5, 5.1), Span(40, 40.1)]
NAMES = ["online", "late", "offline", "online"]
TOLD = [Told("online", 0.1), Told("late", 13), Told("offline", 28), Told("online", 40.1)]


def judged(told: list[Told], beats: list[Span] = BEATS, until: float = 45) -> Verdict:
    verdict = Verdict()
    verdict.compare("one", expected(TERMS, beats, told, until), told)
    return verdict


def found(told: list[Told]) -> dict[str, dict[str, int]]:
    """What is not as it has to be, by matter."""
    kinds = ("missing", "late", "double", "wrong")
    return {
        matter: {kind: count for kind in kinds if (count := getattr(finding, kind))}
        for matter, finding in judged(told).findings.items()
        if not finding.is_right
    }


def plan_of(name: str, devices: int = 20, seconds: float = 0) -> Plan:
    return SCENARIOS[name](Setting(devices, TERMS, seconds), random.Random(1))


def shots_of(plan: Plan, number: int) -> list[Shot]:
    return [shot for shot in plan.shots if shot.number == number]


def told_by_the_book(beats: list[Span], until: float) -> list[Told]:
    """What a server tells that finds every silence a second after it has to."""
    told, state, heard = list[Told](), "offline", 0.0
    for at, is_beat in [(beat.sent, True) for beat in sorted(beats)] + [(until, False)]:
        for to, after in (("late", TERMS.window), ("offline", TERMS.window + GRACE)):
            if state in ("online", "late") and at > heard + after + 1:
                told.append(Told(state := to, heard + after + 1))
        if is_beat and state != "online":
            told.append(Told(state := "online", at))
        heard = at
    return told


# What is expected


def test_silence_is_late_then_offline_and_a_beat_is_online_again() -> None:
    moves = expected(TERMS, BEATS, [], 45)
    assert [move.to for move in moves] == NAMES
    assert moves[1] == Move("late", 12.5, 5.1 + 7.5 + 2 + 1)
    assert moves[2].earliest == 27.5


def test_of_beats_on_their_way_at_once_the_last_counts_for_silence_and_the_first_for_its_end() -> None:
    beats = [Span(0, 3), Span(0.1, 0.2), Span(30, 30.1), Span(30, 31)]
    online, late, offline, again = expected(TERMS, beats, [], 32)
    assert (online.earliest, again.latest) == (0, 31.1)
    assert late == Move("late", 7.6, 3 + 7.5 + 3)
    assert offline.earliest == pytest.approx(22.6)


@pytest.mark.parametrize("told", [TOLD[:1], [*TOLD[:1], Told("late", 13), Told("online", 13.1)]])
def test_where_a_beat_meets_a_deadline_either_is_right(told: list[Told]) -> None:
    assert judged(told, [Span(0, 0.1), Span(5, 5.1), Span(13, 13.1)], until=15).is_right


def test_what_is_not_due_yet_may_be_told_or_not() -> None:
    beats = [Span(0, 0.1)]
    assert [move.to for move in expected(TERMS, beats, [], 9)] == ["online"]
    assert [move.to for move in expected(TERMS, beats, [Told("late", 8)], 9)] == ["online", "late"]
    assert [move.to for move in expected(TERMS, beats, [], 11)] == ["online", "late"]


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        (6, {"online"}),
        (12.7, {"online", "late"}),
        (20, {"late"}),
        (28, {"late", "offline"}),
        (35, {"offline"}),
    ],
)
def test_what_the_server_may_say_depends_on_when_it_is_asked(asked: float, answers: set[str]) -> None:
    assert possible(TERMS, BEATS[:2], Span(asked, asked + 0.1)) == answers


def test_of_a_device_that_never_beat_it_says_what_it_was() -> None:
    assert expected(TERMS, [], [], 100) == []
    assert possible(TERMS, [], Span(1, 2)) == {"offline"}


# What is found


def test_what_is_right_is_found_right() -> None:
    assert found(TOLD) == {}


@pytest.mark.parametrize("place", range(4))
def test_one_that_is_missing_is_found(place: int) -> None:
    assert found(TOLD[:place] + TOLD[place + 1 :])[NAMES[place]]["missing"] == 1


@pytest.mark.parametrize("place", range(4))
def test_one_that_is_told_twice_is_found(place: int) -> None:
    assert found(TOLD[: place + 1] + TOLD[place:]) == {NAMES[place]: {"double": 1}}


@pytest.mark.parametrize("place", range(4))
def test_one_that_is_told_too_late_is_found(place: int) -> None:
    moved = [*TOLD[:place], TOLD[place]._replace(at=TOLD[place].at + 4), *TOLD[place + 1 :]]
    assert found(moved) == {NAMES[place]: {"late": 1}}


@pytest.mark.parametrize("place", range(4))
def test_one_that_is_told_too_early_is_found(place: int) -> None:
    moved = [*TOLD[:place], TOLD[place]._replace(at=TOLD[place].at - 1.5), *TOLD[place + 1 :]]
    assert found(moved) == {NAMES[place]: {"wrong": 1}}


def test_one_that_nobody_expected_is_found() -> None:
    assert found([TOLD[0], Told("offline", 3), *TOLD[1:]]) == {"offline": {"wrong": 1}}


def test_two_that_are_told_in_the_other_order_are_found() -> None:
    swapped = [TOLD[0], Told("offline", 28), Told("late", 28.1), TOLD[3]]
    assert found(swapped) == {"late": {"missing": 1, "wrong": 1}}


def test_a_number_too_many_or_too_few_and_a_wrong_answer_are_found() -> None:
    verdict = Verdict()
    verdict.count("beats told", "one", expected=3, seen=2)
    verdict.count("beats told", "two", expected=3, seen=5)
    verdict.check("history", "one", True, [])
    verdict.check("history", "two", False, ["late"])
    assert verdict.findings["beats told"] == Finding(6, 7, missing=1, double=2)
    assert verdict.findings["history"] == Finding(2, 1, wrong=1)
    assert not verdict.is_right
    assert list(verdict.examples())[-1] == "two: history wrong, ['late']"


def test_of_many_divergences_the_first_are_shown_and_the_rest_counted() -> None:
    verdict = Verdict()
    for number in range(1200):
        verdict.check("history", str(number), False, [])
    *shown, last = verdict.examples()
    assert (len(shown), last) == (10, "and 1,190 more")


# The scenarios


@pytest.mark.parametrize("name", SCENARIOS)
@given(devices=st.integers(1, 30), seconds=st.floats(0, 200), seed=st.integers())
def test_a_server_by_the_book_is_found_right_in_every_scenario_and_nothing_is_left_open(
    name: str, devices: int, seconds: float, seed: int
) -> None:
    plan = SCENARIOS[name](Setting(devices, TERMS, seconds), random.Random(seed))
    assert plan.ends_at >= min(seconds, 100) - 60
    assert max(shot.at for shot in plan.shots) <= plan.ends_at
    for number in range(1, devices + 1):
        beats = [Span(shot.at, shot.at + 0.02) for shot in shots_of(plan, number)]
        told = told_by_the_book(beats, plan.ends_at)
        assert judged(told, beats, plan.ends_at).is_right
        assert expected(TERMS, beats, [], plan.ends_at) == expected(TERMS, beats, told, plan.ends_at)


def moves_of(plan: Plan, number: int) -> list[str]:
    beats = [Span(shot.at, shot.at + 0.02) for shot in shots_of(plan, number)]
    return [move.to for move in expected(TERMS, beats, [], plan.ends_at)]


def test_flapping_devices_go_offline_and_come_back_again_and_again() -> None:
    assert moves_of(plan_of("flap"), 7) == ["online", "late", "offline"] * 2 + ["online"]
    assert moves_of(plan_of("flap", seconds=130), 7) == ["online", "late", "offline"] * 4 + ["online"]


def test_in_a_burst_all_come_back_within_a_second() -> None:
    plan = plan_of("reconnect-burst")
    returns = []
    for number in range(1, 21):
        times = [shot.at for shot in shots_of(plan, number)]
        returns += [after for before, after in pairwise(times) if after - before > TERMS.silence]
        assert moves_of(plan, number) == NAMES
    assert len(returns) == 20
    assert max(returns) - min(returns) <= 1


def test_clocks_are_ahead_and_behind_and_jump_and_some_of_them_fall_silent() -> None:
    plan = plan_of("clock-drift")
    drifts = {number: {shot.drift for shot in shots_of(plan, number)} for number in range(1, 21)}
    assert {len(of_one) > 1 for of_one in drifts.values()} == {True, False}
    assert min(min(of_one) for of_one in drifts.values()) < -3600 < 3600 < max(map(max, drifts.values()))
    assert [moves_of(plan, number)[-1] for number in (4, 5)] == ["online", "offline"]


def test_duplicates_come_at_once_and_late_and_out_of_order() -> None:
    plan = plan_of("duplicates")
    sayings = [shot.saying for shot in shots_of(plan, 7)]
    assert sayings[:2] == [1, 1]
    assert sayings.count(1) == 3
    assert sayings != sorted(sayings)
    assert [shot.saying for shot in shots_of(plan, 8)] == sorted([*range(1, 7)] * 2)
    assert moves_of(plan, 7) == NAMES


@given(devices=st.integers(1, 3000), percent=st.integers(0, 100))
def test_as_many_fall_silent_as_was_asked(devices: int, percent: int) -> None:
    setting = Setting(devices, TERMS, share=percent / 100)
    assert sum(map(setting.is_chosen, setting.numbers)) == pytest.approx(devices * percent / 100, abs=1)


def test_three_in_ten_fall_silent_for_good() -> None:
    plan = plan_of("silent")
    ends = [moves_of(plan, number)[-1] for number in range(1, 21)]
    assert (ends.count("offline"), ends.count("online")) == (6, 14)
