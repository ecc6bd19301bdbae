"""Seats on a real Redis: never more than the limit, never lost to a process that died."""

import threading

import pytest

from devicehub.core import redis
from devicehub.realtime.errors import TooManyConnections
from devicehub.realtime.seats import LIFE_S, Seat, Seats

KEY = "seats:sockets:somebody"


def seat(number: int) -> Seat:
    return "sockets", "somebody", f"socket-{number}"


@pytest.fixture
def seats(app: object) -> Seats:
    return Seats(redis.current())


def taken(seats: Seats, number: int, *, here: int = 0) -> bool:
    try:
        seats.take(seat(number), limit=3, here=here)
    except TooManyConnections:
        return False
    return True


def test_who_comes_beyond_the_limit_stands(seats: Seats) -> None:
    assert [taken(seats, number) for number in range(4)] == [True, True, True, False]
    seats.give_up(seat(1))
    assert taken(seats, 4)
    seats.take(("streams", "somebody", "a"), limit=1, here=0)
    seats.take(("sockets", "somebody else", "a"), limit=1, here=0)


def test_of_many_who_come_at_once_the_limit_sits_down(seats: Seats) -> None:
    got: list[bool] = []
    threads = [threading.Thread(target=lambda n=n: got.append(taken(seats, n))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.count(True) == 3


def test_a_seat_that_nobody_renews_is_free_again(seats: Seats) -> None:
    client = redis.current().client
    for number in range(3):
        seats.take(seat(number), limit=3, here=0)
    assert 0 < client.ttl(KEY) <= LIFE_S
    client.zadd(KEY, {"socket-0": 1, "socket-1": 1})  # as if their time was over
    seats.renew([seat(1)])
    assert [taken(seats, number) for number in (4, 5)] == [True, False]


def test_what_redis_forgot_is_known_again_when_it_is_renewed(seats: Seats) -> None:
    redis.current().client.flushall()
    seats.renew([seat(number) for number in range(3)])
    seats.renew([])
    assert not taken(seats, 4)


def test_without_redis_a_process_counts_its_own() -> None:
    away = Seats(redis.Redis("redis://127.0.0.1:1/0", timeout=0.2))
    assert taken(away, 1, here=2)
    assert not taken(away, 1, here=3)
    away.give_up(seat(1))
