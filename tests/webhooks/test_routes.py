"""Making, changing and deleting webhooks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.audit.models import AuditEntry
from devicehub.webhooks import service as webhooks
from devicehub.webhooks.errors import TooManyWebhooks
from devicehub.webhooks.models import Delivery, Webhook
from tests.factories import Account, bearing, make_account, make_api_key, make_device
from tests.jobs.inline import run_due_jobs
from tests.web.refusals import refused
from tests.webhooks.conftest import drain

PATH = "/api/webhooks"
NEW = {"url": "https://hooks.example.com/devicehub", "events": ["device.offline", "device.created"]}
Listen = Callable[..., dict[str, Any]]


@pytest.fixture
def made(client: FlaskClient) -> dict[str, Any]:
    answer: dict[str, Any] = client.post(PATH, json=NEW).json
    return answer


def ways(webhook_id: str) -> list[tuple[str, str, Any]]:
    """Every operation on a webhook and on a delivery that is not there."""
    one = f"{PATH}/{webhook_id}"
    delivery = f"{one}/deliveries/65f0a1b2c3d4e5f6a7b8c9d4"
    return [
        ("GET", one, None),
        ("PATCH", one, {"enabled": False}),
        ("DELETE", one, None),
        ("POST", f"{one}/secret", None),
        ("POST", f"{one}/test", None),
        ("POST", f"{one}/replay", {}),
        ("GET", f"{one}/deliveries", None),
        ("GET", delivery, None),
        ("POST", f"{delivery}/replay", None),
    ]


def test_a_stranger_is_turned_away(client: FlaskClient) -> None:
    for method, path, body in [("GET", PATH, None), ("POST", PATH, NEW), *ways("65f0a1b2c3d4e5f6a7b8c9d4")]:
        refused(client.open(path, method=method, json=body), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor()
def test_another_organizations_webhook_is_none(client: FlaskClient, client_of: Any) -> None:
    theirs = client_of(make_account()).post(PATH, json=NEW).json["id"]
    for webhook_id in (theirs, "nonesuch"):
        for method, path, body in ways(webhook_id):
            refused(client.open(path, method=method, json=body), 404, "WEBHOOK_NOT_FOUND")
    assert client.get(PATH).json["items"] == []
    assert Webhook.objects.get(id=theirs).enabled


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_members_below_admins_are_refused(client_of: Any, role: Any) -> None:
    client = client_of(make_account(role=role))
    for method, path, body in [("GET", PATH, None), ("POST", PATH, NEW), *ways("65f0a1b2c3d4e5f6a7b8c9d4")]:
        refused(client.open(path, method=method, json=body), 403, "INSUFFICIENT_ROLE")


@pytest.mark.actor()
def test_no_key_sets_one_up(app: Any, account: Account) -> None:
    key = bearing(make_api_key(account.actor))
    refused(app.test_client().post(PATH, json=NEW, headers=key), 403, "FORBIDDEN")


@pytest.mark.actor(role="admin")
def test_the_secret_is_told_once(client: FlaskClient, made: dict[str, Any]) -> None:
    assert made["secret"].startswith("whsec_")
    shown = client.get(f"{PATH}/{made['id']}").json
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert client.get(PATH).json["items"] == [shown]
    assert (shown["url"], shown["events"]) == (NEW["url"], sorted(NEW["events"]))
    assert (shown["enabled"], shown["disabledReason"], shown["failingSince"]) == (True, None, None)
    row = Webhook._get_collection().find_one()
    assert made["secret"].removeprefix("whsec_") not in str(row)


@pytest.mark.actor()
@pytest.mark.parametrize(
    "url",
    [
        "ftp://hooks.example.com/",
        "https://",
        "hooks.example.com",
        "https://ada:secret@hooks.example.com/",
        "https://hooks.example.com/#top",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:65536/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com\\@10.0.0.1/",
        "https://hooks.example.com/" + "a" * 2000,
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://localhost/",
        "https://db.localhost:27017/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.100.100.200/",
        "https://168.63.129.16/",
        "https://[::1]/",
        "https://[fd00:ec2::254]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://[ff02::1]/",
        "https://224.0.0.1/",
        "https://0.0.0.0/",
        None,
        1,
    ],
)
def test_an_address_that_will_not_do_is_refused(client: FlaskClient, made: dict[str, Any], url: Any) -> None:
    for method, path in (("POST", PATH), ("PATCH", f"{PATH}/{made['id']}")):
        problem = refused(client.open(path, method=method, json=NEW | {"url": url}), 422, "VALIDATION_ERROR")
        assert list(problem["errors"]) == ["url"]


@pytest.mark.actor()
@pytest.mark.parametrize(
    "url", ["https://8.8.8.8/", "https://[2606:4700::1111]:8443/a?b=c", "https://[64:ff9b::808:808]/"]
)
def test_a_public_number_will_do(client: FlaskClient, url: str) -> None:
    assert client.post(PATH, json=NEW | {"url": url}).status_code == 201


@pytest.mark.actor()
def test_in_production_it_takes_tls(client: FlaskClient, using: Any) -> None:
    plain = NEW | {"url": "http://hooks.example.com/"}
    with using(app_env="production"):
        refused(client.post(PATH, json=plain), 422, "VALIDATION_ERROR")
    with using(app_env="production", webhook_allow_private=True):
        assert client.post(PATH, json=plain).status_code == 201
    assert client.post(PATH, json=plain).status_code == 201


@pytest.mark.actor()
@pytest.mark.parametrize("events", [[], ["device.nonesuch"], ["ping"], "device.created", None])
def test_it_listens_to_what_there_is(client: FlaskClient, events: Any) -> None:
    refused(client.post(PATH, json=NEW | {"events": events}), 422, "VALIDATION_ERROR")


@pytest.mark.actor()
def test_an_organization_has_ten_at_most_however_many_are_made_at_once(client: FlaskClient, actor: Any) -> None:
    def make(_: int) -> bool:
        try:
            webhooks.create(actor, url=NEW["url"], events=["device.created"])  # type: ignore[arg-type]
        except TooManyWebhooks:
            return False
        return True

    with ThreadPoolExecutor(4) as callers:
        assert sum(callers.map(make, range(14))) == webhooks.MOST == Webhook.objects.count()
    refused(client.post(PATH, json=NEW), 409, "TOO_MANY_WEBHOOKS")
    client.delete(f"{PATH}/{client.get(PATH).json['items'][3]['id']}")
    assert client.post(PATH, json=NEW).status_code == 201


@pytest.mark.actor()
def test_a_change_changes_what_it_names(client: FlaskClient, made: dict[str, Any]) -> None:
    path = f"{PATH}/{made['id']}"
    before = client.get(path).json
    assert client.patch(path, json={}).json == before
    changed = client.patch(path, json={"description": "Pager", "events": ["device.late"] * 2}).json
    assert changed == before | {"description": "Pager", "events": ["device.late"]}
    assert client.get(path).json == changed


@pytest.mark.actor()
def test_what_is_done_with_them_is_in_the_audit_trail(client: FlaskClient, made: dict[str, Any]) -> None:
    path = f"{PATH}/{made['id']}"
    client.patch(path, json={"enabled": True})
    client.post(f"{path}/secret")
    client.post(f"{path}/replay", json={})
    client.delete(path)
    kept = [(row.action, row.outcome) for row in AuditEntry.objects(target=made["id"]).order_by("sequence")]
    acts = ("created", "updated", "secret_rotated", "replayed", "deleted")
    assert kept == [(f"webhook.{act}", outcome) for act in acts for outcome in ("intended", "done")]


@pytest.mark.actor()
def test_with_it_goes_what_it_was_told(client: FlaskClient, listen: Listen, account: Account) -> None:
    webhook_id = listen("device.created")["id"]
    make_device(account.actor)
    assert Delivery.objects.count() == 1
    assert client.delete(f"{PATH}/{webhook_id}").status_code == 204
    refused(client.get(f"{PATH}/{webhook_id}/deliveries"), 404, "WEBHOOK_NOT_FOUND")
    make_device(account.actor)
    run_due_jobs("webhooks.purge")
    assert (Delivery.objects.count(), drain()) == (0, 0)


@pytest.mark.actor()
def test_tests_and_replays_are_held_back(client: FlaskClient, made: dict[str, Any], using: Any) -> None:
    path = f"{PATH}/{made['id']}"
    with using(webhook_rate_limit="2 per minute"):
        told = [client.post(f"{path}/{act}").status_code for act in ("test", "replay", "test", "replay")]
        assert told == [202, 202, 429, 429]
        assert client.get(path).status_code == 200
