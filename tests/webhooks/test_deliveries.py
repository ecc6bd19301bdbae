"""What is sent, how it is signed, how often, and what is kept of it."""

import base64
import hashlib
import hmac
import re
import socket
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect

from devicehub.audit.models import AuditEntry
from devicehub.core import clock as system_clock
from devicehub.core import events, redis
from devicehub.core.actor import Actor
from devicehub.core.events import Event
from devicehub.core.paging import After
from devicehub.devices import heartbeats, sweeper
from devicehub.devices import service as devices
from devicehub.devices.models import Device
from devicehub.notifications import service as notifications
from devicehub.organizations import deletions
from devicehub.organizations import service as organizations
from devicehub.webhooks import claims, deliveries, draining, failing, hearing, signing
from devicehub.webhooks.models import Delivery, Webhook
from tests.conftest import ROOT, Servers, wait_until
from tests.factories import Account, log_in, make_account, make_device, make_notification
from tests.jobs.inline import run_due_jobs
from tests.web.refusals import refused
from tests.webhooks.conftest import Got, Receiver, drain

pytestmark = pytest.mark.actor()
PATH = "/api/webhooks"
Clock = Callable[[float], None]
Listen = Callable[..., dict[str, Any]]
DAY = 86_400


def verified(got: Got, secret: str) -> bool:
    """What a receiver does, by the specification and with nothing of ours."""
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = b".".join([got.headers["webhook-id"].encode(), got.headers["webhook-timestamp"].encode(), got.raw])
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = [one.split(",", 1) for one in got.headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(signature, expected) for version, signature in given)


def pass_by(clock: Clock, seconds: float) -> None:
    clock(seconds)
    drain()


def sign_in(client: FlaskClient, account: Account) -> None:
    """Anew, after so much time that the token of before is over."""
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {log_in(account.email).access_token}"


def listed(client: FlaskClient, webhook: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"{PATH}/{webhook['id']}/deliveries{query}").json["items"]
    return found


def test_a_signature_is_that_of_the_specification() -> None:
    """By its own example, which a receiver of ours has to believe, too."""
    key, body = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    event_id, timestamp = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"
    assert signing.signature(key, f"{event_id}.{timestamp}.".encode() + body) == expected
    headers = {"webhook-id": event_id, "webhook-timestamp": timestamp, "webhook-signature": expected}
    assert verified(Got("/", headers, body), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


def test_what_happened_is_told_and_proven(
    client: FlaskClient, account: Account, listen: Listen, receiver: Receiver
) -> None:
    webhook = listen("device.created")
    device = make_device(account.actor, name="Boiler")
    drain()
    [got] = receiver.got
    assert verified(got, webhook["secret"]) and not verified(got, "whsec_" + base64.b64encode(b"other").decode())
    assert (got.path, got.headers["content-type"]) == ("/hook", "application/json")
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert abs(int(got.headers["webhook-timestamp"]) - system_clock.timestamp()) < 60
    assert got.body | {"createdAt": None} == {
        "id": got.headers["webhook-id"],
        "type": "device.created",
        "organizationId": account.actor.organization_id,
        "createdAt": None,
        "data": {"deviceId": device["id"], "status": "active", "presence": "never_seen"},
    }
    [delivery] = listed(client, webhook)
    assert (delivery["status"], delivery["eventId"]) == ("delivered", got.body["id"])
    assert [(one["statusCode"], one["error"]) for one in delivery["attempts"]] == [(204, None)]
    whole = client.get(f"{PATH}/{webhook['id']}/deliveries/{delivery['id']}").json
    assert whole == delivery | {"body": got.body}
    assert client.get(f"{PATH}/{webhook['id']}").json["lastDeliveryAt"] == delivery["deliveredAt"]


def test_the_documented_receiver_believes_it_and_nothing_else(
    account: Account, listen: Listen, receiver: Receiver
) -> None:
    [sample] = re.findall(r"^```python\n(import base64.*?)^```$", (ROOT / "docs/api.md").read_text(), re.M | re.S)
    known: dict[str, Any] = {}
    exec(sample, known)  # noqa: S102 - it is ours
    secret = listen("device.created")["secret"]
    make_device(account.actor)
    drain()
    [got] = receiver.got
    believes = known["is_genuine"]
    assert believes(got.headers, got.raw, secret)
    assert not believes(got.headers, got.raw + b" ", secret)
    assert not believes(got.headers | {"webhook-timestamp": "1"}, got.raw, secret)
    assert not believes(got.headers | {"webhook-id": "evt_1"}, got.raw, secret)


def test_only_those_who_listen_are_told_and_only_of_their_own(
    account: Account, listen: Listen, receiver: Receiver
) -> None:
    listen("device.deleted")
    make_device(account.actor)
    stranger = make_account().actor
    devices.delete(stranger, make_device(stranger)["id"])
    assert (drain(), receiver.got) == (0, [])


def test_presence_is_told_as_it_changes(
    account: Account, listen: Listen, receiver: Receiver, clock: Clock
) -> None:
    listen("device.online", "device.late", "device.offline")
    device = make_device(account.actor, heartbeat_interval=10)
    heartbeats.beat(account.actor, device["id"], {})
    for _ in range(2):
        clock(16)
        sweeper.sweep()
    drain()
    assert receiver.types == ["device.online", "device.late", "device.offline"]
    assert receiver.got[-1].body["data"]["changes"] == {"presence": "offline"}


def test_a_transition_that_is_told_again_is_delivered_once(
    account: Account, listen: Listen, receiver: Receiver, clock: Clock
) -> None:
    """As when who wrote it died before they could note that they told it."""
    listen("device.status_changed", "device.online")
    device = make_device(account.actor)
    untold = {"untold": [{"seq": 1, "at": system_clock.now(), "from": "never_seen", "presence": "online",
               "status": "active", "changes": {"presence": "online"}, "cause": None}]}  # fmt: skip
    for _ in range(2):
        Device._get_collection().update_one({}, {"$set": untold})
        clock(3)
        sweeper.sweep()
    drain()
    assert (receiver.types, device["id"]) == (
        ["device.status_changed", "device.online"],
        receiver.got[0].body["data"]["deviceId"],
    )


def test_a_database_that_is_away_leaves_presence_untold_until_it_is_back(
    account: Account, listen: Listen, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Any) -> None:
        raise AutoReconnect("gone")

    listen("device.online")
    device = make_device(account.actor)
    with monkeypatch.context() as patched:
        patched.setattr(deliveries, "owe", away)
        with pytest.raises(AutoReconnect):
            heartbeats.beat(account.actor, device["id"], {})
    clock(3)
    sweeper.sweep()
    drain()
    assert receiver.types == ["device.online"]


def test_an_event_told_twice_is_delivered_once(actor: Actor, listen: Listen, receiver: Receiver) -> None:
    listen("job.failed")
    for _ in range(2):
        events.tell(Event("job.failed", actor, {"job_id": "1", "name": "mail.send"}, id="job.failed:1"))
    drain()
    assert [one.body["data"] for one in receiver.got] == [{"jobId": "1", "name": "mail.send"}]


def test_many_at_once_are_written_at_once(actor: Actor, listen: Listen, receiver: Receiver) -> None:
    listen("device.online")
    told = [make_device(actor)["id"] for _ in range(30)]
    heartbeats.beat_all(actor, [(device_id, {}) for device_id in told])
    assert Delivery.objects.count() == 30
    assert drain() == 1
    assert [one.body["data"]["deviceId"] for one in receiver.got] == told


def test_what_fails_is_tried_again_later_and_later_under_the_same_id(
    client: FlaskClient, account: Account, listen: Listen, receiver: Receiver, clock: Clock
) -> None:
    receiver.says(500, body=b"Sorry." * 1000)
    webhook = listen("device.created")
    make_device(account.actor)
    drain()
    for number, seconds in enumerate(deliveries.DELAYS, start=1):
        assert len(receiver.got) == number
        pass_by(clock, seconds * 0.79)
        assert len(receiver.got) == number
        pass_by(clock, seconds * 0.42)
    assert len(receiver.got) == len(deliveries.DELAYS) + 1
    pass_by(clock, DAY)
    assert len(receiver.got) == len(deliveries.DELAYS) + 1
    assert len({one.headers["webhook-id"] for one in receiver.got}) == len({one.raw for one in receiver.got}) == 1
    assert len({one.headers["webhook-timestamp"] for one in receiver.got}) > 5
    assert all(verified(one, webhook["secret"]) for one in receiver.got)
    sign_in(client, account)
    [delivery] = listed(client, webhook, "?status=failed")
    assert len(delivery["attempts"]) == 9 and delivery["nextAttemptAt"] is None
    assert delivery["attempts"][0]["answer"] == ("Sorry." * 1000)[:1024]
    assert client.get(f"{PATH}/{webhook['id']}").json["failingSince"] == delivery["attempts"][0]["at"]


def test_a_receiver_says_when_to_come_back(
    account: Account, listen: Listen, receiver: Receiver, clock: Clock
) -> None:
    receiver.says(429, 204, headers={"Retry-After": "300"})
    listen("device.created")
    make_device(account.actor)
    drain()
    pass_by(clock, 290)
    assert len(receiver.got) == 1
    pass_by(clock, 20)
    assert len(receiver.got) == 2


def test_a_redirect_is_a_failure(
    client: FlaskClient, account: Account, listen: Listen, receiver: Receiver
) -> None:
    receiver.says(302, headers={"Location": receiver.url + "/elsewhere"})
    webhook = listen("device.created")
    make_device(account.actor)
    drain()
    assert [one.path for one in receiver.got] == ["/hook"]
    [delivery] = listed(client, webhook)
    assert (delivery["status"], delivery["attempts"][0]["error"]) == ("pending", "bad_status")


def test_a_receiver_that_is_not_there_is_asked_by_few_at_a_time(
    client: FlaskClient, actor: Actor, listen: Listen, receiver: Receiver, clock: Clock
) -> None:
    receiver.server.shutdown()
    receiver.server.server_close()
    webhook = listen("device.created")
    for _ in range(8):
        make_device(actor)
    drain()
    tried = [one for one in listed(client, webhook) if one["attempts"]]
    assert [one["attempts"][0]["error"] for one in tried] == ["connection_failed"] * draining.MOST_FAILURES


def test_while_rotating_both_secrets_sign(
    client: FlaskClient, account: Account, listen: Listen, receiver: Receiver, clock: Clock
) -> None:
    webhook = listen("device.created")
    rotated = client.post(f"{PATH}/{webhook['id']}/secret").json
    assert rotated["secret"] != webhook["secret"]
    make_device(account.actor)
    drain()
    pass_by(clock, DAY + 60)
    make_device(account.actor)
    drain()
    both, one = receiver.got
    assert verified(both, webhook["secret"]) and verified(both, rotated["secret"])
    assert verified(one, rotated["secret"]) and not verified(one, webhook["secret"])
    assert len(both.headers["webhook-signature"].split(" ")) == 2


def test_a_replay_keeps_the_id(client: FlaskClient, account: Account, listen: Listen, receiver: Receiver) -> None:
    webhook = listen("device.created")
    make_device(account.actor)
    drain()
    [delivery] = listed(client, webhook)
    answer = client.post(f"{PATH}/{webhook['id']}/deliveries/{delivery['id']}/replay")
    assert (answer.status_code, answer.json["status"]) == (202, "pending")
    drain()
    first, second = receiver.got
    assert (first.raw, first.headers["webhook-id"]) == (second.raw, second.headers["webhook-id"])
    assert [len(one["attempts"]) for one in listed(client, webhook)] == [2]


def test_another_webhooks_delivery_is_none_of_this(client: FlaskClient, account: Account, listen: Listen) -> None:
    one, other = listen("device.created"), listen("device.deleted")
    make_device(account.actor)
    [delivery] = listed(client, one)
    for method, end in (("GET", ""), ("POST", "/replay")):
        answer = client.open(f"{PATH}/{other['id']}/deliveries/{delivery['id']}{end}", method=method)
        refused(answer, 404, "DELIVERY_NOT_FOUND")


def test_all_that_failed_are_replayed_in_parts(
    client: FlaskClient, actor: Actor, listen: Listen, receiver: Receiver
) -> None:
    webhook = listen("device.created")
    for _ in range(5):
        make_device(actor)
    client.patch(f"{PATH}/{webhook['id']}", json={"enabled": False})
    assert {one["status"] for one in listed(client, webhook)} == {"failed"}
    assert drain() <= 1 and receiver.got == []
    refused(client.post(f"{PATH}/{webhook['id']}/replay", json={}), 409, "WEBHOOK_DISABLED")
    refused(client.post(f"{PATH}/{webhook['id']}/test"), 409, "WEBHOOK_DISABLED")
    client.patch(f"{PATH}/{webhook['id']}", json={"enabled": True})
    told = [client.post(f"{PATH}/{webhook['id']}/replay", json={"limit": 3}).json for _ in range(3)]
    assert told == [{"replayed": n, "hasMore": more} for n, more in ((3, True), (2, False), (0, False))]
    drain()
    assert len({one.headers["webhook-id"] for one in receiver.got}) == len(receiver.got) == 5
    span = {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
    refused(client.post(f"{PATH}/{webhook['id']}/replay", json=span), 422, "INVALID_DATE_RANGE")


def test_a_test_is_a_delivery_like_any_other(client: FlaskClient, listen: Listen, receiver: Receiver) -> None:
    webhook = listen("device.created")
    answer = client.post(f"{PATH}/{webhook['id']}/test")
    assert (answer.status_code, answer.json["event"], answer.json["status"]) == (202, "ping", "pending")
    drain()
    [got] = receiver.got
    assert verified(got, webhook["secret"]) and got.body == answer.json["body"]
    assert [one["id"] for one in listed(client, webhook, "?event=ping&status=delivered")] == [answer.json["id"]]


def told_of(account: Account) -> list[dict[str, Any]]:
    return [item for item in notifications.find(account.actor, After()).rows if item["type"] == "webhook"]


def test_after_days_of_nothing_but_failure_it_is_disabled_and_admins_are_told_once(
    client: FlaskClient, account: Account, listen: Listen, receiver: Receiver, clock: Clock
) -> None:
    organization_id = account.actor.organization_id
    admin, viewer = (make_account(role=role, organization_id=organization_id) for role in ("admin", "viewer"))
    receiver.says(500)
    webhook = listen("device.created")
    path = f"{PATH}/{webhook['id']}"
    for _ in range(2):
        make_device(account.actor)
        drain()
        assert client.get(path).json["enabled"]
        clock(2 * DAY)
        sign_in(client, account)
    drain()
    shown = client.get(path).json
    assert (shown["enabled"], shown["disabledReason"]) == (False, "failing")
    assert {one["status"] for one in listed(client, webhook)} == {"failed"}
    assert [len(told_of(one)) for one in (account, admin, viewer)] == [1, 1, 0]
    assert AuditEntry.objects(action="webhook.disabled", target=webhook["id"]).count() == 1
    seen = len(receiver.got)
    make_device(account.actor)
    pass_by(clock, DAY)
    sign_in(client, account)
    assert len(receiver.got) == seen
    receiver.says(204)
    fresh = client.patch(path, json={"enabled": True}).json
    assert (fresh["enabled"], fresh["disabledReason"], fresh["failingSince"]) == (True, None, None)
    make_device(account.actor)
    drain()
    assert len(receiver.got) == seen + 1


def test_one_that_failed_between_successes_is_not_disabled(
    client: FlaskClient, account: Account, listen: Listen, receiver: Receiver, clock: Clock
) -> None:
    webhook = listen("device.created")
    for status in (500, 204, 500):
        receiver.says(status)
        clock(2 * DAY)
        make_device(account.actor)
        drain()
    sign_in(client, account)
    assert client.get(f"{PATH}/{webhook['id']}").json["enabled"]


def test_a_hundred_failures_in_more_than_a_day_are_enough(
    client: FlaskClient, account: Account, listen: Listen, receiver: Receiver, clock: Clock
) -> None:
    receiver.says(500)
    webhook = listen("device.created")
    make_device(account.actor)
    drain()
    Webhook.objects.update(set__failures=99)
    pass_by(clock, DAY - 60)
    sign_in(client, account)
    assert client.get(f"{PATH}/{webhook['id']}").json["enabled"]
    Webhook.objects.update(set__failures=99)
    make_device(account.actor)
    pass_by(clock, 120)
    assert client.get(f"{PATH}/{webhook['id']}").json["disabledReason"] == "failing"


def test_one_that_is_gone_is_disabled_at_once(
    client: FlaskClient, account: Account, listen: Listen, receiver: Receiver
) -> None:
    receiver.says(410)
    webhook = listen("device.created")
    make_device(account.actor)
    drain()
    assert client.get(f"{PATH}/{webhook['id']}").json["disabledReason"] == "gone"


def test_who_died_before_telling_that_it_is_disabled_is_succeeded(
    account: Account, listen: Listen, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.says(410)
    listen("device.created")
    make_device(account.actor)

    def die(_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(failing, "tell", die)
        with pytest.raises(KeyboardInterrupt):
            drain()
    assert told_of(account) == []
    pass_by(clock, 61)
    assert len(told_of(account)) == 1
    assert Webhook.objects.get().untold is None


def test_who_dies_while_sending_is_succeeded_and_the_id_is_the_same(
    account: Account, listen: Listen, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver had it, and nobody lived to note that: it comes again, and can be told by its id."""
    listen("device.created")
    make_device(account.actor)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(deliveries, "note", die)
        with pytest.raises(KeyboardInterrupt):
            drain()
    assert (len(receiver.got), drain()) == (1, 0)
    pass_by(clock, 61)
    first, second = receiver.got
    assert (first.headers["webhook-id"], first.raw) == (second.headers["webhook-id"], second.raw)


def test_who_dies_after_writing_a_delivery_is_succeeded(
    account: Account, listen: Listen, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen("device.created")
    with monkeypatch.context() as patched:
        patched.setattr(claims, "mark", lambda _: None)
        make_device(account.actor)
    assert drain() == 0
    clock(61)
    deliveries.mark_forgotten()
    drain()
    assert receiver.types == ["device.created"]


def test_what_comes_while_it_is_sent_to_is_sent_next(account: Account, listen: Listen, receiver: Receiver) -> None:
    listen("device.created")
    make_device(account.actor)
    webhook = claims.take()
    assert webhook is not None and claims.take() is None
    make_device(account.actor)
    claims.release(webhook, None)
    drain()
    assert len(receiver.got) == 2


def test_the_duty_sends_by_itself_and_one_that_hangs_holds_up_nobody(
    actor: Actor, listen: Listen, receiver: Receiver
) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        listen("device.created", url=f"http://127.0.0.1:{deaf.getsockname()[1]}/")
        listen("device.created")
        make_device(actor)
        draining.sweep()
        wait_until(lambda: receiver.types == ["device.created"])
        wait_until(lambda: Delivery.objects(status="delivered").count() == 1, what="what came of it to be noted")
        assert Delivery.objects(status="pending").count() == 1
    wait_until(lambda: Webhook.objects(claim__exists=True).count() == 0, 20, "the claims to be given back")


def test_without_redis_all_is_told_all_the_same(
    account: Account, listen: Listen, receiver: Receiver, servers: Servers
) -> None:
    listen("device.created", "device.online")
    servers.redis.stop()
    try:
        device = make_device(account.actor)
        heartbeats.beat(account.actor, device["id"], {})
        drain()
    finally:
        servers.restart_redis()
    assert receiver.types == ["device.created", "device.online"]
    wait_until(redis.current().is_alive)


def test_a_notification_is_passed_on_for_who_said_so(
    client: FlaskClient, account: Account, listen: Listen, receiver: Receiver
) -> None:
    listen("notification.created")
    make_notification(account, "report", organization_id=account.actor.organization_id)
    drain()
    assert receiver.got == []
    client.patch("/api/users/preferences", json={"webhooks": {"report": True}})
    make_notification(account, "export_ready", organization_id=account.actor.organization_id)
    noted = make_notification(account, "report", organization_id=account.actor.organization_id)
    drain()
    [got] = receiver.got
    told = {name: got.body["data"][name] for name in ("notificationId", "userId", "type")}
    assert told == {"notificationId": noted, "userId": account.actor.user_id, "type": "report"}


def test_deleting_the_organization_deletes_them(account: Account, listen: Listen, receiver: Receiver) -> None:
    listen("device.created")
    make_device(account.actor)
    organizations.create_own(account.actor, {"name": "Spare"})
    receipt = deletions.delete(account.actor)
    run_due_jobs()
    told = deletions.get(account.actor, receipt["receipt_id"])
    assert {name: told["counts"][name] for name in ("webhooks", "webhookDeliveries")} == {
        "webhooks": 1,
        "webhookDeliveries": 1,
    }
    assert (Webhook.objects.count(), Delivery.objects.count(), told["status"]) == (0, 0, "completed")


def test_signs_of_life_ask_nobody_who_listens(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    device = make_device(actor)
    heartbeats.beat(actor, device["id"], {})
    asked: list[str] = []
    monkeypatch.setattr(hearing, "listeners", lambda organization_id: asked.append(organization_id) or [])
    heartbeats.beat(actor, device["id"], {})
    assert asked == []
