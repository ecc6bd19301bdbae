"""A Redis that is there but cannot serve is away, whichever version it is and however it is asked."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from devicehub.core.redis import Ask, Redis, RedisAway
from devicehub.embedded.processes import Server, start_redis
from tests.conftest import LiveServer, free_port
from tests.factories import make_account


@pytest.fixture(params=["on PATH", "of the wheel"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """That of the wheel is a Redis 6.2, which `make run` starts where there is none on PATH."""
    if request.param == "of the wheel":
        monkeypatch.setenv("PATH", "")
    started = start_redis(tmp_path, port=free_port())
    monkeypatch.undo()
    yield started
    started.stop()


def full(client: Any) -> None:
    client.config_set("maxmemory", 1)


def left_alone(client: Any) -> None:
    client.config_set("min-replicas-to-write", 1)


def a_replica(client: Any) -> None:
    client.replicaof("127.0.0.1", "1")


@pytest.mark.parametrize("become", [full, left_alone, a_replica])
def test_one_that_cannot_serve_a_script_is_away(server: Server, become: Callable[[Any], None]) -> None:
    own = Redis(server.url, timeout=0.5, rest=0)
    write = own.script("return redis.call('SET', KEYS[1], 'a')")
    write(["a"], [])
    become(own.client)
    with pytest.raises(RedisAway):
        write(["a"], [])
    with pytest.raises(RedisAway):
        own.together([Ask(write, ["a"], []), Ask(write, ["b"], [])])
    assert own.failures == 2
    own.close()


@pytest.mark.usefixtures("app")
def test_a_full_redis_is_nobodys_error(server: Server, serve: Callable[..., LiveServer]) -> None:
    process = serve(REDIS_URL=server.url)
    account = make_account()
    device = {"name": "Boiler", "type": "sensor"}
    with httpx.Client(base_url=process.url, headers=account.headers, timeout=20) as client:
        assert client.get("/api/devices").status_code == 200
        own = Redis(server.url, timeout=0.5, rest=0)
        full(own.client)
        statuses = [client.get("/api/devices").status_code, client.post("/api/devices", json=device).status_code]
        own.client.config_set("maxmemory", 0)
        own.close()
        assert statuses == [200, 201]
