"""Who comes with a key: an integration hears what its scopes let it hear, a device hears nothing."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from socketio.exceptions import ConnectionError

from devicehub.auth import api_keys
from devicehub.core import clock
from devicehub.core.actor import Actor
from devicehub.core.events import emit
from devicehub.organizations import members
from tests.conftest import LiveServer, wait_until
from tests.factories import Account, bearing, join, make_account, make_api_key, make_device, make_device_key
from tests.realtime.clients import Socket, Stream
from tests.web.refusals import refused

pytestmark = pytest.mark.usefixtures("app")

URL = "/api/sse/events"
# What is promised.
WITHIN_S = 5


def key_of(account: Account, *scopes: str) -> Any:
    return {"token": make_api_key(account.actor, *scopes)}


@contextmanager
def connected(url: str, auth: Any = None, **options: Any) -> Iterator[Socket]:
    """A socket that is let in."""
    socket = Socket(url, auth, **options)
    try:
        yield socket.connect()
    finally:
        socket.close()


@pytest.mark.actor()
def test_an_api_key_opens_a_stream_with_the_scope_and_not_in_the_query(app: Any, account: Account) -> None:
    stranger: FlaskClient = app.test_client()
    key = make_api_key(account.actor, "events:read")
    answer = stranger.get(URL, headers={"X-API-Key": key})
    assert answer.status_code == 200
    frames = answer.iter_encoded()
    assert b"retry" in next(frames)
    assert account.actor.organization_id.encode() in next(frames)
    answer.close()
    refused(stranger.get(f"{URL}?token={key}"), 401, "INVALID_TOKEN")
    other = make_api_key(account.actor, "devices:read")
    refused(stranger.get(URL, headers=bearing(other)), 403, "INSUFFICIENT_SCOPE")


@pytest.mark.parametrize("place", ["auth", "X-API-Key", "Authorization"])
def test_an_api_key_opens_a_socket_with_the_scope(live_server: LiveServer, place: str) -> None:
    ada = make_account()
    key = make_api_key(ada.actor, "events:read")
    headers = {"X-API-Key": key} if place == "X-API-Key" else bearing(key)
    how: dict[str, Any] = {"auth": {"token": key}} if place == "auth" else {"headers": headers}
    with connected(live_server.url, **how) as socket:
        assert socket.named("connected")[0]["organizationId"] == ada.actor.organization_id
        emit("device.updated", ada.actor, device_id="d", status="active", presence="online", changes={})
        socket.wait_for("device-update")


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        (lambda ada: make_api_key(ada.actor, "devices:read"), "INSUFFICIENT_SCOPE"),
        (lambda ada: make_device_key(ada.actor, make_device(ada.actor)["id"]), "FORBIDDEN"),
        (lambda ada: f"dhk_{'0' * 24}_{'x' * 43}", "INVALID_TOKEN"),
    ],
)
def test_any_other_key_is_refused(
    live_server: LiveServer, credential: Callable[[Account], str], code: str
) -> None:
    socket = Socket(live_server.url, {"token": credential(make_account())})
    with pytest.raises(ConnectionError):
        socket.connect()
    assert socket.refusal["data"]["code"] == code


def test_it_reads_devices_with_the_scope_for_them_only(live_server: LiveServer) -> None:
    ada = make_account()
    payload = {"deviceId": make_device(ada.actor)["id"]}
    with connected(live_server.url, key_of(ada, "events:read")) as narrow:
        assert narrow.call("device-status-request", payload)["error"]["code"] == "INSUFFICIENT_SCOPE"
    with connected(live_server.url, key_of(ada, "events:read", "devices:read")) as wide:
        assert wide.call("device-status-request", payload)["ok"] is True


def test_it_joins_no_other_organization_of_its_owner(live_server: LiveServer) -> None:
    ada, other = make_account(), make_account()
    join(ada, other.actor.organization_id, role="admin")
    payload = {"organizationId": other.actor.organization_id}
    with connected(live_server.url, {"token": ada.access_token}) as person:
        assert person.call("join-organization", payload)["ok"] is True
    with connected(live_server.url, key_of(ada, "events:read")) as integration:
        assert integration.call("join-organization", payload)["error"]["code"] == "ORGANIZATION_NOT_FOUND"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (api_keys.revoke, "api_key_revoked"),
        (lambda actor, key_id: api_keys.update(actor, key_id, {"active": False}), "api_key_updated"),
        (lambda actor, key_id: api_keys.update(actor, key_id, {"scopes": ["devices:read"]}), "api_key_updated"),
        (lambda actor, _: members.remove(actor, actor.user_id), "member_removed"),
    ],
)
def test_its_connections_end_with_what_they_rest_on(
    live_server: LiveServer, change: Callable[[Actor, str], Any], reason: str
) -> None:
    bob = make_account(role="viewer", organization_id=make_account().actor.organization_id)
    key, text = api_keys.create(bob.actor, name="One", scopes=["events:read"])
    _, other = api_keys.create(make_account().actor, name="Other", scopes=["events:read"])
    with (
        connected(live_server.url, {"token": text}) as socket,
        connected(live_server.url, {"token": other}) as kept,
        closing(Stream(live_server.url, bearing(text))) as stream,
    ):
        stream.wait_for("connected")
        change(bob.actor, str(key.id))
        for one in (socket, stream):
            wait_until(lambda one=one: one.named("session-ended"), WITHIN_S, "the end")  # type: ignore[misc]
            assert one.named("session-ended") == [{"reason": reason}]
        wait_until(lambda: stream.ended and not socket.client.connected, WITHIN_S, "the connections to close")
        assert kept.client.connected and not kept.named("session-ended")


def test_its_connections_go_on_with_another_name_and_with_another_role_of_its_owner(
    live_server: LiveServer,
) -> None:
    ada = make_account()
    bob = make_account(role="viewer", organization_id=ada.actor.organization_id)
    key, text = api_keys.create(bob.actor, name="One", scopes=["events:read"])
    payload = {"organizationId": bob.actor.organization_id}
    with connected(live_server.url, {"token": text}) as socket:
        api_keys.update(bob.actor, str(key.id), {"name": "Two"})
        members.change_role(ada.actor, bob.actor.user_id, "admin")
        answer = wait_until(lambda: (told := socket.call("join-organization", payload))["ok"] and told)
        assert answer["role"] == "admin"
        assert not socket.named("session-ended")


def test_its_connections_end_with_its_own_time(live_server: LiveServer) -> None:
    ada = make_account()
    soon = clock.now() + timedelta(seconds=2)
    _, text = api_keys.create(ada.actor, name="One", scopes=["events:read"], expires_at=soon)
    with connected(live_server.url, {"token": text}) as socket:
        wait_until(lambda: socket.named("token-expired"), 2 + WITHIN_S, "the end of its time")
        wait_until(lambda: not socket.client.connected, WITHIN_S, "the connection to close")
