"""Cells of a CSV file: read back as they were, and never as a formula."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicehub.core import cells


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r"])
def test_text_that_a_spreadsheet_may_compute_is_neutralized(begins: str) -> None:
    assert cells.neutral(f"{begins}1+1") == f"'{begins}1+1"


@pytest.mark.parametrize("text", ["", "plain", "a=b", " =1", "'quoted"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert cells.neutral(text) == text


def test_numbers_stay_numbers_also_below_zero() -> None:
    assert cells.row([-5, -0.25, 1e300, 0, "-5"]) == "-5,-0.25,1e+300,0,'-5\r\n"


def test_what_is_no_text_is_written_as_json_has_it() -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert cells.row([None, True, False, moment]) == ",true,false,2026-01-31T12:00:00.000Z\r\n"


def test_text_that_holds_marks_of_the_format_is_quoted() -> None:
    assert cells.row(["a,b", 'say "hi"', "two\r\nlines", "one\rline"]) == (
        '"a,b","say ""hi""","two\r\nlines","one\rline"\r\n'
    )


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",))), min_size=1))
def test_a_reader_finds_what_was_written(texts: list[str]) -> None:
    [read] = csv.reader(io.StringIO(cells.row(texts), newline=""))
    assert [cells.neutral(text) for text in texts] == read
