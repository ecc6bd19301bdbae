"""Who comes with a key: an integration hears what its scopes let it hear, a device hears nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient
from socketio.exceptions import ConnectionError

from devicehub.auth import api_keys
from devicehub.core.events import emit
from tests.conftest import LiveServer
from tests.factories import Account, bearing, join, make_account, make_api_key, make_device, make_device_key
from tests.realtime.clients import Socket
from tests.web.refusals import refused

pytestmark = pytest.mark.usefixtures("app")

URL = "/api/sse/events"


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


def test_one_that_was_revoked_is_refused_at_the_next_event(live_server: LiveServer) -> None:
    ada = make_account()
    key, text = api_keys.create(ada.actor, name="One", scopes=["events:read"])
    payload = {"organizationId": ada.actor.organization_id}
    with connected(live_server.url, {"token": text}) as socket:
        assert socket.call("join-organization", payload)["ok"] is True
        api_keys.revoke(ada.actor, str(key.id))
        assert socket.call("join-organization", payload)["error"]["code"] == "TOKEN_REVOKED"
