"""What the compose file promises; whether it starts is for a Docker engine to say."""

from typing import Any

import pytest
import yaml

from devicehub.core.config import Settings
from tests.conftest import ROOT

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OURS = ("api", "realtime", "worker")


def test_its_services() -> None:
    assert set(SERVICES) == {"nginx", "api", "realtime", "worker", "redis", "mongo", "mongo-init"}


@pytest.mark.parametrize("name", OURS)
def test_it_sets_nothing_we_do_not_know(name: str) -> None:
    assert {key.lower() for key in SERVICES[name]["environment"]} <= set(Settings.model_fields)


@pytest.mark.parametrize("name", OURS)
def test_without_secrets_it_refuses(name: str) -> None:
    for secret in ("JWT_SECRET", "JWT_REFRESH_SECRET"):
        assert SERVICES[name]["environment"][secret].startswith(f"${{{secret}:?Copy .env.example ")


def test_each_process_has_its_role() -> None:
    roles = {name: SERVICES[name]["environment"].get("DEVICEHUB_ROLE") for name in OURS}
    assert roles == {"api": "api", "realtime": "realtime", "worker": None}
    assert SERVICES["realtime"]["environment"]["WEB_CONCURRENCY"] == "1"


@pytest.mark.parametrize("name", [*OURS, "nginx"])
def test_what_faces_people_has_no_privileges(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_only_nginx_can_be_reached() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert {name for name, service in SERVICES.items() if "edge" in service["networks"]} == {*OURS, "nginx"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"mongo-init"}))
def test_everything_that_stays_is_bounded_and_comes_back(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["mem_limit"]
