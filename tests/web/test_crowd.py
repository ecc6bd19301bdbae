"""More requests at once than are worked on: the others wait, and are served; who asks for health does not."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.conftest import LiveServer
from tests.factories import make_account


def test_everybody_is_served_in_turn(serve: Callable[..., LiveServer]) -> None:
    server, account = serve(REQUESTS_AT_ONCE="2"), make_account()

    def ask(number: int) -> int:
        path = "/health" if number % 10 == 0 else "/api/users/profile"
        return httpx.get(server.url + path, headers=account.headers, timeout=30).status_code

    with ThreadPoolExecutor(40) as crowd:
        assert Counter(crowd.map(ask, range(200))) == {200: 200}
