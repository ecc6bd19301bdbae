"""Rows, and on the way how many there have been."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

STEP = 500


def paced(rows: Iterable[T], progress: Callable[[int], None]) -> Iterator[T]:
    """The same rows; `progress` is told after each `STEP` of them, and how many there were in the end."""
    number = 0
    for number, row in enumerate(rows, 1):
        yield row
        if number % STEP == 0:
            progress(number)
    progress(number)
