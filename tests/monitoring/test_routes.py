"""Health, and the API's own description."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from devicehub import __version__
from devicehub.core import migrations
from devicehub.monitoring.schemas import HealthSchema


def test_health_names_every_dependency(client: FlaskClient) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json["dependencies"] == {"mongodb": "connected", "redis": "connected", "queue": "inactive"}
    assert answer.json["status"] == "degraded"  # there is no worker in the tests
    assert answer.json["version"] == __version__
    assert answer.json["uptime"] > 0
    assert HealthSchema().validate(answer.json) == {}


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_a_process_that_can_serve_is_live_and_ready(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_a_process_whose_database_is_not_up_to_date_is_live_but_not_ready(client: FlaskClient) -> None:
    migrations.done.clear()
    try:
        assert client.get("/health/live").status_code == 200
        assert (client.get("/health/ready").status_code, client.get("/health").status_code) == (503, 503)
        answer = client.post("/api/auth/login", json={})
        assert (answer.status_code, answer.json["code"]) == (503, "DATABASE_UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) >= 1
    finally:
        migrations.done.set()


def test_health_takes_any_query_and_any_token(client: FlaskClient) -> None:
    """Probes add what they like, and a stale token in a monitor must not look like an outage."""
    for path in ("/health", "/health/live", "/health/ready"):
        answer = client.get(f"{path}?nocache=1", headers={"Authorization": "Bearer nonsense"})
        assert answer.status_code == 200, path


def test_the_document_is_sound_and_describes_this_version(client: FlaskClient) -> None:
    answer = client.get("/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["openapi"].startswith("3.1")
    assert answer.json["info"]["version"] == __version__
    assert list(OpenAPIV31SpecValidator(answer.json).iter_errors()) == []


def test_the_page_of_the_document_needs_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200 and page.mimetype == "text/html"
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert not re.search(r"https?://|<style|<script>|\son\w+=", page.text)
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) >= 3
    for file in files:
        with client.get(f"/{file}") as answer:
            assert answer.status_code == 200 and answer.data, file


def test_the_page_stands_at_one_address_for_its_links_are_relative(client: FlaskClient) -> None:
    assert client.get("/docs/").status_code == 404


@pytest.mark.parametrize(
    "path", ["/docs/nothing.js", "/docs/../routes.py", "/docs/%2e%2e/routes.py", "/docs//etc/passwd"]
)
def test_the_page_gives_out_its_own_files_only(client: FlaskClient, path: str) -> None:
    answer: Any = client.get(path)
    assert answer.status_code == 404 and answer.mimetype == "application/problem+json"
