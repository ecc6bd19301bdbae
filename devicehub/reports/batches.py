"""What comes one after the other, some at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last with what is left; no more than one of them is held."""
    remaining = iter(items)
    while some := list(islice(remaining, size)):
        yield some
