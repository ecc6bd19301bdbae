"""Every query the code makes is served by an index: MongoDB's own profiler says so."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient
from pymongo.collection import Collection

from devicehub.auth import api_keys, resets, revocation, sessions, uses
from devicehub.core import clock
from devicehub.core.actor import SYSTEM, Actor
from devicehub.devices import keys as device_keys
from devicehub.devices import purges, sweeper
from devicehub.exports import expiry
from devicehub.jobs import service as jobs
from devicehub.jobs import sweeping
from devicehub.jobs.models import Job
from devicehub.logs import imports, rebuilding
from devicehub.logs import purges as log_purges
from devicehub.notifications import offline
from devicehub.notifications import purges as told_purges
from devicehub.organizations import deletions
from devicehub.organizations import service as organizations
from devicehub.reports import due, schedules
from devicehub.reports import purges as report_purges
from devicehub.reports import service as reports
from devicehub.webhooks import claims, draining
from devicehub.webhooks import deliveries as webhook_deliveries
from devicehub.webhooks import purges as webhook_purges
from tests.conftest import profiling
from tests.factories import (
    PASSWORD,
    bearing,
    invite,
    log_in,
    make_account,
    make_code,
    make_device,
    make_export,
    make_notification,
    make_schedule,
)
from tests.jobs.inline import run_due_jobs
from tests.mail.conftest import owe, work

# Found by their _id without a plan, or the bookkeeping of MongoDB itself.
OURS = (
    "audit_entries",
    "users",
    "organizations",
    "organization_deletions",
    "sessions",
    "api_keys",
    "devices",
    "device_keys",
    "presence_history",
    "logs",
    "log_imports",
    "log_import_parts",
    "usage_hours",
    "usage_days",
    "usage_devices",
    "idempotency_keys",
    "sign_in_failures",
    "password_challenges",
    "otp_requests",
    "jobs",
    "leases",
    "mails",
    "mail_preferences",
    "notifications",
    "notification_rules",
    "report_schedules",
    "exports",
    "webhooks",
    "webhook_deliveries",
    "system",
)

NDJSON = "application/x-ndjson"


@pytest.fixture
def profiled(client: FlaskClient) -> Iterator[Collection[dict[str, Any]]]:
    with profiling() as profile:
        yield profile


@pytest.mark.actor(platform_admin=True)
def test_every_query_is_served_by_an_index(client: FlaskClient, account: Any, profiled: Any) -> None:
    use_everything(client, account)
    plans: dict[str, set[str]] = {}
    for row in profiled.find({"op": {"$in": ["query", "update", "remove", "command"]}}):
        collection = row["ns"].partition(".")[2]
        if collection in OURS and "planSummary" in row:
            plans.setdefault(collection, set()).add(row["planSummary"])
    seen = {"users", "organizations", "organization_deletions", "sessions", "api_keys", "audit_entries", "jobs"}
    assert seen | {"devices", "device_keys", "presence_history"} <= set(plans), "the profiler saw nothing"
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
    client.post("/api/devices/heartbeats", json={"heartbeats": [{"deviceId": device}]})
    client.post(f"{path}/heartbeat", json={"goodbye": True})
    with clock.moved(timedelta(minutes=2)):
        sweeper.sweep()
    parts = [client.get(f"{path}/presence{part}") for part in ("", "/availability", "/history?limit=1")]
    assert [answer.status_code for answer in parts] == [200, 200, 200]
    cursor = parts[-1].json["pagination"]["nextCursor"]
    assert client.get(f"{path}/presence/history?cursor={cursor}").status_code == 200
    use_keys(client, path)
    use_logs(client, path)
    client.get("/api/users/profile")
    for password in ("wrong horse battery", PASSWORD):
        client.post("/api/auth/login", json={"email": account.email, "password": password})
    client.get("/api/auth/sessions")
    client.delete(f"/api/auth/sessions/{log_in(account.email).actor.session_id}")
    client.patch("/api/users/profile", json={"name": "Grace"})
    client.patch("/api/users/preferences", json={"mail": {"report": False}})
    use_notifications(client, account)
    use_reports(client, account)
    use_webhooks(client)
    work(owe("invitation", user_id=account.actor.user_id))
    client.get("/dev/mail")
    for query in ("", "search=a", "role=admin", "role=admin&search=a"):
        assert client.get(f"/api/users?{query}").status_code == 200
    client.delete(path)
    device_keys.purge(account.actor, device)
    assert [*purges.history_of_device(account.actor.organization_id, device)] == [3]
    assert dict(log_purges.of_device(account.actor.organization_id, device)) == {"usageOfDevices": 1, "logs": 1}
    api_keys.end_all(user_id=account.actor.user_id, organization_id=account.actor.organization_id)
    trail = f"/api/organizations/{account.actor.organization_id}/audit"
    at = "2026-01-01T00:00:00Z"
    for query in ("", "action=device.deleted", f"actor={account.actor.user_id}", f"from={at}", f"to={at}"):
        assert client.get(f"{trail}?{query}").status_code == 200
    use_organizations(client, account)
    use_jobs(client, account.actor)
    use_exports(client, account)
    use_imports(client, ObjectId(account.actor.organization_id))
    grant = sessions.switch(account.actor, account.actor.organization_id, ip=None, user_agent="tests")
    grant = sessions.rotate(grant.refresh_token, ip=None, user_agent="tests")
    client.post("/api/auth/revoke", json={"token": grant.refresh_token})
    other = make_account()
    client.post("/api/auth/logout-all", headers=other.headers)
    reset = {"resetToken": resets.verify(*make_code(other.email)), "newPassword": "staple battery horse"}
    assert client.post("/api/auth/password/reset", json=reset).status_code == 204
    change = {"currentPassword": PASSWORD, "newPassword": "staple battery horse"}
    assert client.post("/api/auth/password/change", json=change, headers=make_account().headers).status_code == 200
    list(revocation.end_everyones())


def use_logs(client: FlaskClient, path: str) -> None:
    """Every query of logs, once."""
    told = {"logs": [{"event": "on", "sequence": 1, "value": 2.5}] * 2}
    assert client.post(f"{path}/logs", json=told).json["accepted"] == 1
    at = "2026-01-01T00:00:00Z"
    for query in ("", "event=on", "level=info", "event=on&level=info", f"from={at}", f"to={at}&order=asc"):
        assert client.get(f"{path}/logs?{query}&search=o").status_code == 200
        assert client.get(f"{path}/logs?{query}").status_code == 200
        for beside in ("", "&search=o", f"&deviceId={path.rpartition('/')[2]}", "&level=error"):
            assert client.get(f"/api/logs?{query}{beside}").status_code in (200, 422)
    assert client.get(f"{path}/logs/gaps").json["first"] == 1
    other = client.post("/api/devices", json={"name": "Other", "type": "sensor"}).json["id"]
    both = f"devices={path.rpartition('/')[2]},{other}"
    for asked in (
        f"{path}/usage?percentiles=true",
        "/api/analytics/realtime",
        f"/api/analytics/comparison?{both}",
    ):
        assert client.get(asked).status_code == 200
    for query in ("range=24h", "range=30d", "range=7d&timezone=Asia/Kathmandu&interval=hour"):
        for kind in ("dashboard", "trends"):
            assert client.get(f"/api/analytics/{kind}?{query}").status_code == 200
    assert client.delete(f"/api/devices/{other}").status_code == 204
    organization_id = client.get("/api/organizations").json["items"][0]["id"]
    owner = ObjectId(organization_id)
    list(log_purges.before(owner, clock.now() - timedelta(days=90)))
    assert [rebuilding.check(owner, day).wrong for day in rebuilding.days_of(owner)] == [0]
    list(rebuilding.keep_zone(owner, "Asia/Kathmandu"))


def use_imports(client: FlaskClient, owner: ObjectId) -> None:
    """Every query of imports, once."""
    new = {"name": "Imported", "type": "sensor", "serialNumber": "S2"}
    device = client.post("/api/devices", json=new).json["id"]
    lines = [{"deviceId": device, "event": "on"}, {"serialNumber": "S2", "event": "on"}]
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    assert client.post("/api/logs/import", data=body, content_type=NDJSON).json["accepted"] == 2
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(imports, "AT_ONCE", 1)
        answers = [client.post("/api/logs/import", data=body, content_type=NDJSON) for _ in range(2)]
    made = [answer.headers["Location"] for answer in answers]
    cursor = client.get("/api/logs/imports?limit=1").json["pagination"]["nextCursor"]
    assert client.get(f"/api/logs/imports?cursor={cursor}").status_code == 200
    assert client.post(f"{made[0]}/cancel").json["status"] == "cancelled"
    assert [job.status for job in run_due_jobs("logs.import")] == ["completed"]
    assert client.get(made[1]).json["result"]["accepted"] == 2
    with clock.moved(timedelta(hours=2)):
        imports.drop_sources_of_ended(owner)
    assert client.delete(f"/api/devices/{device}").status_code == 204


def use_keys(client: FlaskClient, path: str) -> None:
    """Every query of the keys of a device and of integrations, once."""
    key = client.post(f"{path}/keys").json
    client.get(f"{path}/keys")
    client.post(f"{path}/heartbeat", json={}, headers=bearing(key["key"]))
    assert client.get(path, headers=bearing(key["key"])).status_code == 200
    client.delete(f"{path}/keys/{key['id']}")
    client.post(f"{path}/keys")
    client.post("/api/devices/batch", json={"devices": [{"name": "Pump", "type": "pump"}], "issueKeys": True})
    api_key = client.post("/api/auth/api-keys", json={"name": "All", "scopes": ["devices:read"]}).json
    client.get("/api/auth/api-keys")
    assert client.get("/api/devices", headers=bearing(api_key["key"])).status_code == 200
    client.patch(f"/api/auth/api-keys/{api_key['id']}", json={"name": "Some"})
    client.delete(f"/api/auth/api-keys/{api_key['id']}")
    uses.write()


def use_organizations(client: FlaskClient, account: Any) -> None:
    """Every query of organizations, members, invitations and deletions, once."""
    made = client.post("/api/organizations", json={"name": "Engines"}).json["id"]
    path = f"/api/organizations/{made}"
    asked = ("/api/organizations", path, f"{path}/permissions", f"{path}/members", f"{path}/invitations")
    for one in asked:
        assert client.get(one).status_code == 200
    client.patch(path, json={"name": "Renamed"})
    guest = make_account()
    there = organizations.require(account.actor, made)
    token = invite(there, guest.email)
    client.post("/api/invitations/accept", json={"token": token}, headers=guest.headers)
    client.patch(f"{path}/members/{guest.actor.user_id}", json={"role": "admin"})
    client.delete(f"{path}/members/{guest.actor.user_id}")
    client.post(f"{path}/invitations", json={"email": "grace@example.com", "role": "viewer"})
    [invitation] = client.get(f"{path}/invitations").json["items"]
    client.delete(f"{path}/invitations/{invitation['id']}")
    receipt = client.delete(path).json["receiptId"]
    assert client.get(f"/api/organizations/deletions/{receipt}").status_code == 200
    deletions.look_after(receipt)
    deletions.purge(made, receipt)
    for batches in (purges.keys_of_organization, purges.of_organization, purges.history_of_organization):
        assert [*batches(made)] == [0]
    api_keys.purge(made)
    told_purges.rules_of_organization(made)
    webhook_purges.of_organization(made)
    assert [*webhook_purges.deliveries_of_organization(made)] == [0]
    assert [*told_purges.of_organization(made)] == [1, 0]  # the guest was told of the invitation


def use_notifications(client: FlaskClient, account: Any) -> None:
    """Every query of notifications, once."""
    one = make_notification(account)
    for query in ("", "?unread=true", "/unread-count"):
        assert client.get(f"/api/notifications{query}").status_code == 200
    for act in (f"{one}/read", "read-all"):
        assert client.post(f"/api/notifications/{act}").status_code == 200
    client.delete("/api/notifications")
    for path in ("", f"/{make_device(account.actor)['id']}"):
        assert client.get(f"/api/notifications/rules{path}").status_code == 200
        assert client.patch(f"/api/notifications/rules{path}", json={"graceSeconds": 60}).status_code == 200
    for _ in range(2):
        goodbye = make_device(account.actor)["id"]
        assert client.post(f"/api/devices/{goodbye}/heartbeat", json={"goodbye": True}).status_code == 200
        offline.sweep()
    with clock.moved(timedelta(minutes=2)):
        offline.sweep()


def use_exports(client: FlaskClient, account: Any) -> None:
    """Every query of exports, once."""
    device, at = make_device(account.actor)["id"], "/api/export/jobs"
    assert client.post(f"/api/devices/{device}/logs", json={"event": "on"}).status_code == 201
    end = clock.rfc3339(clock.now() + timedelta(minutes=1))
    span = {"startDate": clock.rfc3339(clock.now() - timedelta(days=1)), "endDate": end}
    for filters in ({}, {"deviceIds": [device]}, {"eventTypes": ["on"], "levels": ["info"]}):
        body = {"type": "logs", "format": "csv", "layout": "wide", "dateRange": span, "filters": filters}
        assert client.post(at, json=body).status_code == 202
    run_due_jobs("exports.build")
    run_due_jobs("exports.tell")
    one = make_export(account.actor)
    for path in ("", "?status=completed", "?type=logs", f"/{one}", f"/{one}/download"):
        assert client.get(f"{at}{path}").status_code == 200
    assert client.get("/api/export/stats").status_code == 200
    direct = f"/api/devices/{device}/logs/export?from={span['startDate']}&to={end}"
    assert client.get(direct).status_code == 200
    assert client.delete(f"{at}/{one}").status_code == 204
    waiting = make_export(account.actor, made=False)
    assert client.post(f"{at}/{waiting}/cancel").status_code == 200
    with clock.moved(timedelta(days=8)):
        assert list(expiry.expire())
    list(expiry.sweep())
    list(expiry.forget(Job.objects(organization_id=ObjectId(account.actor.organization_id), name="exports.build")))


def use_reports(client: FlaskClient, account: Any) -> None:
    """Every query of reports and their schedules, once."""
    actor, device = account.actor, make_device(account.actor)["id"]
    for query in ("range=7d", f"range=7d&devices={device}", f"range=7d&devices={device}&event=on"):
        assert client.get(f"/api/reports/usage?{query}").status_code == 200
    end = clock.now()
    reports.usage_report(actor, start=end - timedelta(days=3), end=end, device_ids=[], event_types=["on"])
    for chosen in ([], [device]):
        list(reports.device_report(actor, device_ids=chosen, include_inactive=False).main.rows())
    one = make_schedule(actor)
    assert client.get("/api/reports/schedules").status_code == 200
    for method, path in (("GET", ""), ("PATCH", ""), ("POST", "/run")):
        how = {"json": {"hour": 20}} if method == "PATCH" else {}
        assert client.open(f"/api/reports/schedules/{one}{path}", method=method, **how).status_code < 300
    schedules.note_export(actor, one, str(ObjectId()))
    assert due.keep_zone(actor.organization_id) == 0
    with clock.moved(timedelta(days=1)):
        due.sweep()
    assert client.delete(f"/api/reports/schedules/{one}").status_code == 204
    make_schedule(actor)
    assert report_purges.of_member(actor.user_id, actor.organization_id) == 1
    assert report_purges.of_organization(actor.organization_id) == 0
    Job.objects(name=due.MADE_BY).delete()  # a later feature does them


def use_webhooks(client: FlaskClient) -> None:
    """Every query of webhooks and their deliveries, once."""
    new = {"url": "https://hooks.example.invalid/", "events": ["device.created"]}
    for _ in range(2):
        made = client.post("/api/webhooks", json=new).json["id"]
    path = f"/api/webhooks/{made}"
    for act in ("secret", "test", "replay"):
        assert client.post(f"{path}/{act}").status_code in (200, 202)
    one = client.get(f"{path}/deliveries").json["items"][0]["id"]
    for query in ("", "?status=pending", "?event=ping", "?limit=1"):
        assert client.get(f"{path}/deliveries{query}").status_code == 200
    assert client.post(f"{path}/deliveries/{one}/replay").status_code == 202
    webhook_deliveries.mark_forgotten()
    while webhook := claims.take():
        draining.drain(webhook)
    for changes in ({"enabled": False}, {"enabled": True}):
        assert client.patch(path, json=changes).status_code == 200
    span = {"from": "2026-01-01T00:00:00Z", "to": "2126-01-01T00:00:00Z"}
    assert client.post(f"{path}/replay", json=span).json == {"replayed": 1, "hasMore": False}
    for shown in ("", f"/{made}"):
        assert client.get(f"/api/webhooks{shown}").status_code == 200
    client.delete(path)
    assert [*webhook_purges.deliveries_of(made)] == [1, 0]


def use_jobs(client: FlaskClient, actor: Actor) -> None:
    """Every query about jobs, once."""
    for _ in range(2):
        jobs.enqueue("jobs.nonesuch", actor=actor, key="k")
    for who in (SYSTEM, actor):
        assert jobs.find(who) == jobs.find(who, status="pending") != []
    run_due_jobs()
    sweeping.sweep()
    (job,) = jobs.find(actor, status="failed")
    path, of = "/api/admin/jobs", f"organizationId={actor.organization_id}"
    for query in ("", "status=failed", "name=jobs.nonesuch", "dead=true", "dead=false", of, f"{of}&dead=true"):
        assert client.get(f"{path}?{query}").status_code == 200
    assert client.post(f"{path}/retry", json={}).json["retried"] == 1
    for act in ("cancel", "retry"):
        assert client.post(f"{path}/{job.id}/{act}").status_code == 200
    client.get(f"{path}/{job.id}")
    jobs.cancel(actor, str(job.id))
    jobs.retry(actor, str(job.id))
