"""Cursors: opaque, ours, and of one list."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devicehub.core import config, paging
from devicehub.core.paging import After

Using = Callable[..., AbstractContextManager[None]]

pytestmark = pytest.mark.usefixtures("app")
whole = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@whole
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)))
def test_a_cursor_leads_back_to_its_position_in_its_own_list(position: list[int | str]) -> None:
    cursor = paging.seal(tuple(position), "audit:1")
    assert paging.unseal(cursor, "audit:1") == tuple(position)
    assert paging.unseal(cursor, "audit:2") is None


@whole
@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_what_we_never_gave_is_no_cursor(cursor: str) -> None:
    assert paging.unseal(cursor, "audit:1") is None


def test_nor_is_one_of_ours_with_anything_changed() -> None:
    cursor = paging.seal((41,), "audit:1")
    for place, sign in enumerate(cursor):
        for other in "aZ0.":
            changed = cursor[:place] + other + cursor[place + 1 :]
            assert sign == other or paging.unseal(changed, "audit:1") is None
        assert paging.unseal(cursor[:place], "audit:1") is None
        assert paging.unseal(cursor + sign, "audit:1") is None


def test_a_change_of_secret_leaves_nobody_in_the_middle_of_a_list(using: Using) -> None:
    before = config.current().jwt_secret
    cursor = paging.seal((41,), "audit:1")
    with using(jwt_secret="another-secret-of-at-least-32-bytes", jwt_secret_previous=before):
        assert paging.unseal(cursor, "audit:1") == (41,)
    with using(jwt_secret="another-secret-of-at-least-32-bytes"):
        assert paging.unseal(cursor, "audit:1") is None


@pytest.mark.parametrize(("there", "shown", "end"), [(0, 0, None), (2, 2, None), (3, 3, None), (4, 3, (2,))])
def test_there_is_a_next_part_only_when_there_is_more(there: int, shown: int, end: tuple[int] | None) -> None:
    stretch = After(limit=3).cut(range(there), lambda row: (row,))
    assert (len(stretch.rows), stretch.end) == (shown, end)
