"""Every route says who may call it, and the routes of a noun say the same."""

from collections.abc import Iterator
from dataclasses import replace

from flask import Flask

from devicehub.web.guards import Guard, guard_of

# Who may call these is not ours to say, or everybody: pages, the document, the socket's own endpoint.
PAGES = {
    "/openapi.json",
    "/docs",
    "/docs/<path:name>",
    "/live",
    "/live/<path:name>",
    "/confirm-email",
    "/dev/mail",
    "/dev/mail/<mail_id>",
    "/dev/mail/<mail_id>/html",
}
# A guard in front of all of them lets platform admins in alone (tests/console); who may begin it, its view asks.
CONSOLE = {
    "/rq/session",
    "/rq/",
    "/rq/favicon.ico",
    "/rq/static/<path:filename>",
    "/rq/<int:instance_number>/",
    "/rq/<int:instance_number>/view",
    "/rq/<int:instance_number>/view/queues",
    "/rq/<int:instance_number>/view/workers",
    "/rq/<int:instance_number>/view/jobs",
    "/rq/<int:instance_number>/view/jobs/<queue_name>/<registry_name>/<int:per_page>/<order>/<int:page>",
    "/rq/<int:instance_number>/view/job/<job_id>",
    "/rq/<int:instance_number>/data/queues.json",
    "/rq/<int:instance_number>/data/workers.json",
    "/rq/<int:instance_number>/data/jobs/<queue_name>/<registry_name>/<per_page>/<order>/<page>.json",
    "/rq/<int:instance_number>/data/job/<job_id>.json",
    "/rq/job/<job_id>/delete",
    "/rq/job/<job_id>/requeue",
    "/rq/requeue/<queue_name>",
    "/rq/queue/<queue_name>/<registry_name>/empty",
    "/rq/queue/<queue_name>/compact",
}
PUBLIC = {
    ("POST", "/api/auth/signup"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/refresh"),
    ("POST", "/api/auth/logout"),
    ("POST", "/api/auth/password/forgot"),
    ("POST", "/api/auth/password/verify-otp"),
    ("POST", "/api/auth/password/reset"),
    ("POST", "/api/auth/email/confirm"),
    ("GET", "/health"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
}


def routes(app: Flask) -> Iterator[tuple[str, str, Guard | None]]:
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, rule.rule, guard_of(app.view_functions[rule.endpoint], method)


def test_every_route_is_guarded_or_listed_as_public(app: Flask) -> None:
    bare = {(method, rule) for method, rule, guard in routes(app) if guard is None and rule not in PAGES | CONSOLE}
    public = {(method, rule) for method, rule, guard in routes(app) if guard and guard.role is None}
    assert bare == set()
    assert public == PUBLIC


def test_list_and_single_routes_of_a_noun_carry_the_same_guard(app: Flask) -> None:
    """But for organizations themselves: who lists or makes them asks for no role in one, who opens one does."""
    found = {
        (method, rule): guard and replace(guard, limit="general")  # who may, not how often
        for method, rule, guard in routes(app)
        if rule != "/api/organizations"
    }
    singles = [rule for _, rule in found if rule.endswith(">")]
    pairs = [(rule, single) for _, rule in found for single in singles if single.rpartition("/<")[0] == rule]
    assert pairs, "no list and single routes were found at all"
    for one_list, single in set(pairs):
        if (("GET", one_list)) in found and ("GET", single) in found:
            assert _but_for_devices(found["GET", one_list]) == _but_for_devices(found["GET", single]), single
        for write in ("PATCH", "PUT", "DELETE"):
            if ("POST", one_list) in found and (write, single) in found:
                assert found["POST", one_list] == found[write, single], (one_list, write, single)


def _but_for_devices(guard: Guard | None) -> Guard | None:
    """A guard as it is for everybody else: a device may read itself, and no list it stands in."""
    return replace(guard, devices=False) if guard else None
