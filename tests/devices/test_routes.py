"""Devices, from outside: strangers first, then their own story."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from pymongo import WriteConcern

from devicehub.devices import sweeper
from devicehub.devices.models import Device
from devicehub.devices.schemas import DeviceSchema
from tests.factories import Account, make_account, make_device

NEW = {"name": "Boiler", "type": "sensor"}
UNKNOWN = "65f0a1b2c3d4e5f6a7b8c9d2"

ClientOf = Callable[[Account], FlaskClient]


def create(client: FlaskClient, **fields: Any) -> Any:
    answer = client.post("/api/devices", json=NEW | fields)
    assert answer.status_code == 201, answer.text
    return answer.json


def names(client: FlaskClient, query: str = "") -> list[str]:
    return [item["name"] for item in client.get(f"/api/devices?{query}").json["items"]]


def test_anonymous_is_turned_away_everywhere(client: FlaskClient) -> None:
    for method, path in (
        ("get", "/api/devices"),
        ("post", "/api/devices"),
        ("post", "/api/devices/batch"),
        ("get", f"/api/devices/{UNKNOWN}"),
        ("patch", f"/api/devices/{UNKNOWN}"),
        ("delete", f"/api/devices/{UNKNOWN}"),
        ("post", f"/api/devices/{UNKNOWN}/heartbeat"),
    ):
        answer = getattr(client, method)(path)
        assert (answer.status_code, answer.json["code"]) == (401, "AUTHENTICATION_REQUIRED"), path


@pytest.mark.actor()
def test_another_organizations_device_does_not_exist(client: FlaskClient) -> None:
    theirs = make_device(make_account().actor, serial_number="S1")
    path = f"/api/devices/{theirs['id']}"
    for answer in (
        client.get(path),
        client.patch(path, json={"name": "Mine now"}),
        client.delete(path),
        client.post(f"{path}/heartbeat", json={}),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "DEVICE_NOT_FOUND")
    assert names(client) == []
    assert names(client, f"ownerId={theirs['ownerId']}") == []
    assert create(client, serialNumber="S1")["serialNumber"] == "S1"  # unique within an organization, no further


@pytest.mark.actor()
@pytest.mark.parametrize(
    "odd", ["x", "65f0", "65f0a1b2c3d4e5f6a7b8c9dg", "%7B%22$gt%22:%22%22%7D", "65f0a1b2c3d4e5f6a7b8c9d2%0A"]
)
def test_a_malformed_id_is_unknown(client: FlaskClient, odd: str) -> None:
    assert client.get(f"/api/devices/{odd}").json["code"] == "DEVICE_NOT_FOUND"


def test_a_viewer_reads_but_does_not_register(client_of: ClientOf) -> None:
    owner = make_account()
    make_device(owner.actor, name="Boiler")
    viewer = client_of(make_account(role="viewer", organization_id=owner.actor.organization_id))
    assert names(viewer) == ["Boiler"]
    for path in ("/api/devices", "/api/devices/batch"):
        refused = viewer.post(path, json=NEW)
        assert (refused.status_code, refused.json["code"]) == (403, "INSUFFICIENT_ROLE")


def test_an_operator_changes_own_devices_only_and_an_admin_any(client_of: ClientOf) -> None:
    owner = make_account()
    organization_id = owner.actor.organization_id
    operator = client_of(make_account(role="operator", organization_id=organization_id))
    admin = client_of(make_account(role="admin", organization_id=organization_id))
    theirs = f"/api/devices/{make_device(owner.actor)['id']}"
    own = f"/api/devices/{create(operator)['id']}"
    assert operator.patch(theirs, json={"name": "Mine now"}).json["code"] == "FORBIDDEN"
    assert operator.delete(theirs).json["code"] == "FORBIDDEN"
    assert operator.patch(own, json={"name": "Still mine"}).status_code == 200
    assert admin.patch(own, json={"name": "The admin's"}).status_code == 200
    assert admin.delete(own).status_code == admin.delete(theirs).status_code == 204


@pytest.mark.actor()
def test_a_device_is_registered_with_its_defaults_and_a_location(client: FlaskClient, actor: Any) -> None:
    answer = client.post("/api/devices", json=NEW)
    device = answer.json
    assert answer.headers["Location"] == f"/api/devices/{device['id']}"
    assert device | {"id": "", "createdAt": "", "updatedAt": ""} == {
        "id": "",
        "organizationId": actor.organization_id,
        "ownerId": actor.user_id,
        "name": "Boiler",
        "type": "sensor",
        "status": "active",
        "presence": "never_seen",
        "lastActiveAt": None,
        "heartbeatInterval": 60,
        "serialNumber": None,
        "location": None,
        "tags": [],
        "metadata": {},
        "firmwareVersion": None,
        "metrics": {},
        "createdAt": "",
        "updatedAt": "",
    }
    assert client.get(answer.headers["Location"]).json == device


@pytest.mark.actor()
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x"),
        ("name", "x" * 101),
        ("name", 5),
        ("name", {"$gt": ""}),
        ("name", "nul\0"),
        ("type", "x" * 51),
        ("status", "broken"),
        ("presence", "online"),
        ("serialNumber", ""),
        ("location", "x" * 201),
        ("tags", ["x"] * 21),
        ("tags", ["x" * 51]),
        ("tags", "heating"),
        ("metadata", []),
        ("metadata", {"a": "x" * 17_000}),
        ("metadata", {"deep": {"$where": "1"}}),
        ("heartbeatInterval", 4),
        ("heartbeatInterval", 86_401),
        ("heartbeatInterval", 7.5),
        ("organizationId", UNKNOWN),
    ],
)
def test_a_field_against_the_rules_is_refused_by_name(client: FlaskClient, field: str, value: Any) -> None:
    answer = client.post("/api/devices", json=NEW | {field: value})
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])
    assert names(client) == []


@pytest.mark.actor()
def test_metadata_is_kept_as_it_is(client: FlaskClient) -> None:
    metadata = {"snake_case": 1, "camelCase": [None, {"ünïcode.dotted": True}], "big": 2**53, "text": "<script>"}
    device = create(client, metadata=metadata)
    assert client.get(f"/api/devices/{device['id']}").json["metadata"] == metadata


@pytest.mark.actor()
def test_a_serial_number_is_unique_in_its_organization(client: FlaskClient) -> None:
    create(client, serialNumber="S1")
    other = create(client)
    for refused in (
        client.post("/api/devices", json=NEW | {"serialNumber": "S1"}),
        client.patch(f"/api/devices/{other['id']}", json={"serialNumber": "S1"}),
    ):
        assert (refused.status_code, refused.json["code"]) == (409, "DUPLICATE_ENTRY")
    create(client)  # none at all is no duplicate


@pytest.mark.actor()
def test_a_batch_keeps_the_good_ones_and_explains_the_others(client: FlaskClient) -> None:
    create(client, serialNumber="S1")
    answer = client.post(
        "/api/devices/batch",
        json={"devices": [NEW, {"name": "x"}, NEW | {"serialNumber": "S1"}, None, NEW | {"serial_number": "S2"}]},
    )
    assert answer.status_code == 200
    assert (answer.json["created"], answer.json["failed"]) == (2, 3)
    assert [item["status"] for item in answer.json["items"]] == [201, 422, 409, 422, 201]
    assert set(answer.json["items"][1]["error"]["errors"]) == {"name", "type"}
    assert answer.json["items"][2]["error"]["code"] == "DUPLICATE_ENTRY"
    assert answer.json["items"][4]["device"]["serialNumber"] == "S2"
    assert client.get("/api/devices").json["pagination"]["total"] == 3


@pytest.mark.actor()
def test_a_batch_says_which_of_the_tags_of_which_device_is_wrong(client: FlaskClient) -> None:
    answer = client.post("/api/devices/batch", json={"devices": [NEW, NEW | {"tags": ["fine", "odd\x00"]}]})
    assert [item["status"] for item in answer.json["items"]] == [201, 422]
    assert list(answer.json["items"][1]["error"]["errors"]["tags"]) == ["1"]


@pytest.mark.actor()
def test_what_can_only_be_posted_is_no_device(client: FlaskClient) -> None:
    answer = client.get("/api/devices/batch")
    assert (answer.status_code, set(answer.headers["Allow"].split(", "))) == (405, {"POST", "OPTIONS"})


@pytest.mark.actor()
@pytest.mark.parametrize("devices", [[], [NEW] * 501, "x", {"$gt": ""}, None])
def test_a_batch_of_none_too_many_or_no_list_is_refused(client: FlaskClient, devices: Any) -> None:
    answer = client.post("/api/devices/batch", json={"devices": devices})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["devices"])


@pytest.mark.actor()
def test_what_the_database_could_not_make_safe_is_not_called_made(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_two_servers = Device._get_collection().with_options(write_concern=WriteConcern(w=2, wtimeout=100))
    monkeypatch.setattr(Device, "_get_collection", lambda: of_two_servers)
    answer = client.post("/api/devices", json=NEW)
    assert (answer.status_code, answer.json["code"]) == (503, "DATABASE_UNAVAILABLE")


@pytest.mark.actor()
def test_a_batch_sent_twice_with_its_key_is_made_once(client: FlaskClient) -> None:
    batch = {"devices": [NEW | {"serialNumber": str(number)} for number in range(500)]}
    key = {"Idempotency-Key": "fleet-1"}
    first = client.post("/api/devices/batch", json=batch, headers=key)
    again = client.post("/api/devices/batch", json=batch, headers=key)
    assert first.json["created"] == 500
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json == first.json
    assert client.get("/api/devices").json["pagination"]["total"] == 500


@pytest.mark.actor()
def test_lists_filter_search_and_sort(client: FlaskClient, actor: Any) -> None:
    create(client, name="beta", type="pump", tags=["a", "b"], serialNumber="X-1")
    create(client, name="Alpha", type="sensor", tags=["a"], status="maintenance")
    create(client, name="gamma (1.*)", type="sensor", tags=["b"])
    assert names(client) == ["gamma (1.*)", "Alpha", "beta"]
    assert names(client, "sort=name") == ["Alpha", "beta", "gamma (1.*)"]
    assert names(client, "sort=-name") == ["gamma (1.*)", "beta", "Alpha"]
    assert names(client, "sort=createdAt") == ["beta", "Alpha", "gamma (1.*)"]
    assert names(client, "type=sensor&sort=name") == ["Alpha", "gamma (1.*)"]
    assert names(client, "status=maintenance") == ["Alpha"]
    assert names(client, "presence=online") == []
    assert names(client, "tag=a&sort=name") == ["Alpha", "beta"]
    assert names(client, "tag=a&tag=b") == ["beta"]
    assert names(client, f"ownerId={actor.user_id}&type=pump") == ["beta"]
    assert names(client, f"owner_id={UNKNOWN}") == names(client, "ownerId=odd") == []
    assert names(client, "search=ALPH") == ["Alpha"]
    assert names(client, "search=x-1") == ["beta"]
    assert names(client, "search=(1.*)") == ["gamma (1.*)"]  # taken literally
    assert names(client, "search=.") == ["gamma (1.*)"]


@pytest.mark.actor()
@pytest.mark.parametrize(
    ("query", "named"),
    [("page=0", "page"), ("limit=101", "limit"), ("limit=x", "limit"), ("sort=type", "sort"), ("bogus=1", "bogus"),
     ("status=broken", "status"), ("presence=gone", "presence"), ("limit=1&perPage=2", "limit"),
     ("owner_id=1&ownerId=2", "ownerId"), ("type[$gt]=", "type[$gt]"), ("search=%00", "search")],
)  # fmt: skip
def test_an_odd_query_is_refused_by_name(client: FlaskClient, query: str, named: str) -> None:
    answer = client.get(f"/api/devices?{query}")
    assert (answer.status_code, list(answer.json["errors"])) == (422, [named])


@pytest.mark.actor()
def test_pages_cover_the_list_once(client: FlaskClient) -> None:
    made = {create(client, name="Same")["id"] for _ in range(7)}
    first = client.get("/api/devices?limit=3&sort=name").json
    assert first["pagination"] == {
        "page": 1,
        "limit": 3,
        "total": 7,
        "pages": 3,
        "hasNext": True,
        "hasPrev": False,
    }
    pages = [client.get(f"/api/devices?per_page=3&page={page}&sort=name").json for page in (1, 2, 3, 4)]
    assert [len(page["items"]) for page in pages] == [3, 3, 1, 0]
    assert {item["id"] for page in pages for item in page["items"]} == made
    assert pages[3]["pagination"]["hasNext"] is False


@pytest.mark.actor()
def test_a_change_keeps_what_it_does_not_name(client: FlaskClient) -> None:
    device = create(client, location="Basement", tags=["a"], serialNumber="S1")
    changed = client.patch(f"/api/devices/{device['id']}", json={"location": None, "serialNumber": None}).json
    expected = device | {"location": None, "serialNumber": None, "updatedAt": changed["updatedAt"]}
    assert changed == expected
    assert client.get(f"/api/devices/{device['id']}").json == expected
    assert names(client, "search=s1") == []


@pytest.mark.actor()
def test_if_match_lets_only_the_present_revision_through(client: FlaskClient) -> None:
    path = f"/api/devices/{create(client)['id']}"
    seen = client.get(path).headers["ETag"]
    assert client.patch(path, json={"name": "First"}, headers={"If-Match": seen}).status_code == 200
    for stale in (
        client.patch(path, json={"name": "Second"}, headers={"If-Match": seen}),
        client.delete(path, headers={"If-Match": seen}),
        client.patch(path, json={"name": "Second"}, headers={"If-Match": '"nonsense"'}),
        client.patch(path, json={"name": "Second"}, headers={"If-Match": '""'}),
    ):
        assert (stale.status_code, stale.json["code"]) == (412, "PRECONDITION_FAILED")
    assert client.patch(path, json={"name": "Second"}, headers={"If-Match": "*"}).status_code == 200
    assert client.patch(path, json={"name": "Third"}).status_code == 200


@pytest.mark.actor()
def test_a_beat_changes_the_etag_but_not_the_revision(client: FlaskClient) -> None:
    path = f"/api/devices/{create(client)['id']}"
    before = client.get(path).headers["ETag"]
    client.post(f"{path}/heartbeat", json={})
    after = client.get(path).headers["ETag"]
    assert after != before
    assert after.split(".")[0] == before.split(".")[0]
    assert client.patch(path, json={"name": "Fine"}, headers={"If-Match": before}).status_code == 200


@pytest.mark.actor()
def test_what_has_not_changed_is_not_sent_again(client: FlaskClient) -> None:
    path = f"/api/devices/{create(client)['id']}"
    for address in (path, "/api/devices"):
        first = client.get(address)
        again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert again.headers["X-Cache"] == "HIT"
        assert client.get(address, headers={"If-Match": "*"}).status_code == 200
        assert client.get(address, headers={"If-Match": f'"x", {first.headers["ETag"]}'}).status_code == 200
        refused = client.get(address, headers={"If-Match": '"x"'})
        assert (refused.status_code, refused.json["code"]) == (412, "PRECONDITION_FAILED")
    since = client.get(path).headers["Last-Modified"]
    assert client.get(path, headers={"If-Modified-Since": since}).status_code == 304
    client.post(f"{path}/heartbeat", json={})
    assert (
        client.get(path, headers={"If-None-Match": first.headers["ETag"], "If-Modified-Since": since}).status_code
        == 200
    )


@pytest.mark.actor()
def test_a_change_is_answered_with_the_etag_that_the_next_may_name(client: FlaskClient) -> None:
    path = f"/api/devices/{create(client)['id']}"
    for number in range(3):
        changed = client.patch(path, json={"name": f"Boiler {number}"} if number else {})
        assert changed.headers["ETag"] == client.get(path).headers["ETag"]
    following = {"If-Match": changed.headers["ETag"]}
    assert client.patch(path, json={"name": "Boiler"}, headers=following).status_code == 200


@pytest.mark.actor()
def test_one_that_fell_silent_is_not_unchanged_since_it_was_heard(client: FlaskClient, clock: Any) -> None:
    path = f"/api/devices/{create(client)['id']}"
    client.post(f"{path}/heartbeat", json={})
    heard = client.get(path)
    clock(600)
    sweeper.sweep()
    silent = client.get(path, headers={"If-Modified-Since": heard.headers["Last-Modified"]})
    assert silent.json["presence"] == "late"
    assert silent.last_modified > heard.last_modified
    client.post(f"{path}/heartbeat", json={"metrics": {"t": 1}})
    seen = client.get(path)
    client.post(f"{path}/heartbeat", json={"metrics": {"t": 2}})
    again = client.get(path, headers={"If-Modified-Since": seen.headers["Last-Modified"]})
    assert again.json["metrics"] == {"t": 2}


@pytest.mark.actor()
def test_a_deleted_device_is_gone(client: FlaskClient) -> None:
    path = f"/api/devices/{create(client)['id']}"
    client.get(path)
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == client.delete(path).status_code == 404
    assert client.post(f"{path}/heartbeat", json={}).status_code == 404
    assert names(client) == []


@pytest.mark.actor()
def test_the_fast_writer_says_what_the_schema_documents(client: FlaskClient) -> None:
    device = create(client, tags=["a"], metadata={"a": [1]}, serialNumber="S1", location="Here")
    client.post(f"/api/devices/{device['id']}/heartbeat", json={"metrics": {"t": 1.5}, "firmwareVersion": "1.0"})
    shown = client.get(f"/api/devices/{device['id']}").json
    schema = DeviceSchema()
    loaded = schema.load(shown)
    assert schema.dump(loaded) == shown
    assert client.get("/api/devices").json["items"] == [shown]


@pytest.mark.actor()
def test_what_happens_to_a_device_is_told(client: FlaskClient, told: list[Any]) -> None:
    device = create(client)
    path = f"/api/devices/{device['id']}"
    client.patch(path, json={"name": "Renamed", "heartbeatInterval": 30})
    client.delete(path)
    heard = [(event.name, event.data["device_id"], event.data["changes"]) for event in told]
    assert heard == [
        ("device.created", device["id"], {}),
        ("device.updated", device["id"], {"name": "Renamed", "heartbeatInterval": 30}),
        ("device.deleted", device["id"], {"deleted": True}),
    ]


@pytest.mark.actor()
def test_an_empty_change_is_none(client: FlaskClient, told: list[Any]) -> None:
    path = f"/api/devices/{create(client)['id']}"
    seen = client.get(path).headers["ETag"]
    assert client.patch(path, json={}).json == client.get(path).json
    assert client.patch(path, json={}, headers={"If-Match": seen}).status_code == 200
    assert client.patch(path, json={}, headers={"If-Match": '"9.x"'}).status_code == 412
    assert client.patch(f"/api/devices/{UNKNOWN}", json={}).status_code == 404
    assert [event.name for event in told] == ["device.created"]
