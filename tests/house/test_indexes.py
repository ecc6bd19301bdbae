"""Every query the code makes is served by an index: MongoDB's own profiler says so."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.auth import api_keys, sessions, uses
from devicehub.core import mongo
from devicehub.devices import keys as device_keys
from tests.factories import make_account
from tests.mail.conftest import owe, work

# Found by their _id without a plan, or the bookkeeping of MongoDB itself.
OURS = (
    "audit_entries",
    "users",
    "organizations",
    "sessions",
    "api_keys",
    "devices",
    "device_keys",
    "idempotency_keys",
    "leases",
    "mails",
    "mail_preferences",
    "system",
)


@pytest.fixture
def profiled(client: FlaskClient) -> Iterator[list[dict[str, Any]]]:
    db, seen = mongo.database(), []
    db.command("profile", 2)
    yield seen
    db.command("profile", 0)
    db.drop_collection("system.profile")


@pytest.mark.actor(platform_admin=True)
def test_every_query_is_served_by_an_index(client: FlaskClient, account: Any, profiled: Any) -> None:
    use_everything(client, account)
    plans: dict[str, set[str]] = {}
    for row in mongo.database()["system.profile"].find({"op": {"$in": ["query", "update", "remove", "command"]}}):
        collection = row["ns"].partition(".")[2]
        if collection in OURS and "planSummary" in row:
            plans.setdefault(collection, set()).add(row["planSummary"])
    assert {"users", "organizations", "sessions", "devices", "api_keys", "device_keys", "audit_entries"} <= set(
        plans
    ), "the profiler saw nothing"
    scans = {name: sorted(found) for name, found in plans.items() if any("COLLSCAN" in plan for plan in found)}
    assert scans == {}


def use_everything(client: FlaskClient, account: Any) -> None:
    """Every query of every operation, once."""
    new = {"name": "Boiler", "type": "sensor", "tags": ["a"], "serialNumber": "S1"}
    device = client.post("/api/devices", json=new, headers={"Idempotency-Key": "k"}).json["id"]
    client.post("/api/devices", json=new, headers={"Idempotency-Key": "k"})
    client.post("/api/devices/batch", json={"devices": [new, {"name": "Pump", "type": "pump"}]})
    queries = ("", "type=pump", "status=active", "presence=online", "tag=a", f"ownerId={account.actor.user_id}",
               "search=b", "sort=name", "sort=-name", "sort=lastActiveAt", "sort=createdAt")  # fmt: skip
    for query in queries:
        assert client.get(f"/api/devices?{query}").status_code == 200
    path = f"/api/devices/{device}"
    client.get(path)
    client.patch(path, json={"name": "Renamed"})
    client.post(f"{path}/heartbeat", json={})
    key = client.post(f"{path}/keys").json
    client.get(f"{path}/keys")
    with_key = {"Authorization": f"Bearer {key['key']}"}
    client.post(f"{path}/heartbeat", json={}, headers=with_key)
    assert client.get(path, headers=with_key).status_code == 200
    client.delete(f"{path}/keys/{key['id']}")
    client.post(f"{path}/keys")
    client.post("/api/devices/batch", json={"devices": [{"name": "Pump", "type": "pump"}], "issueKeys": True})
    api_key = client.post("/api/auth/api-keys", json={"name": "All", "scopes": ["devices:read"]}).json
    client.get("/api/auth/api-keys")
    with_key = {"Authorization": f"Bearer {api_key['key']}"}
    assert client.get("/api/devices", headers=with_key).status_code == 200
    client.patch(f"/api/auth/api-keys/{api_key['id']}", json={"name": "Some"})
    client.delete(f"/api/auth/api-keys/{api_key['id']}")
    uses.write()
    client.get("/api/users/profile")
    client.patch("/api/users/profile", json={"name": "Grace"})
    client.patch("/api/users/preferences", json={"mail": {"report": False}})
    work(owe("invitation", user_id=account.actor.user_id))
    client.get("/dev/mail")
    for query in ("", "search=a", "role=admin", "role=admin&search=a"):
        assert client.get(f"/api/users?{query}").status_code == 200
    client.delete(path)
    device_keys.purge(account.actor, device)
    api_keys.end_all(user_id=account.actor.user_id, organization_id=account.actor.organization_id)
    trail = f"/api/organizations/{account.actor.organization_id}/audit"
    at = "2026-01-01T00:00:00Z"
    for query in ("", "action=device.deleted", f"actor={account.actor.user_id}", f"from={at}", f"to={at}"):
        assert client.get(f"{trail}?{query}").status_code == 200
    grant = sessions.rotate(account.refresh_token, ip=None, user_agent="tests")
    client.post("/api/auth/revoke", json={"token": grant.refresh_token})
    other = make_account()
    client.post("/api/auth/logout-all", headers=other.headers)
    list(sessions.end_everyones())
