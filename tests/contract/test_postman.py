"""The Postman collection says what the OpenAPI document says."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from devicehub.monitoring.postman import METHODS, Unfit, collection
from devicehub.web import openapi
from tests.conftest import ROOT

KEPT = ROOT / "postman/devicehub.postman_collection.json"
Json = dict[str, Any]


@pytest.fixture
def document(app: Flask) -> Json:
    """The OpenAPI document, the test's own to change."""
    copy: Json = json.loads(json.dumps(openapi.spec().to_dict()))
    return copy


@pytest.fixture
def made(document: Json) -> Json:
    return collection(document)


def requests(made: Json) -> Iterator[Json]:
    for folder in made["item"]:
        yield from folder["item"]


def named(made: Json, name: str) -> Json:
    [found] = [item for item in requests(made) if item["name"] == name]
    return found


def scripts(item: Json, moment: str) -> str:
    return "\n".join(line for e in item["event"] if e["listen"] == moment for line in e["script"]["exec"])


def test_the_kept_collection_is_the_one_that_make_postman_writes() -> None:
    """Else: run `make postman`."""
    command = [sys.executable, "-m", "devicehub.cli", "postman"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(KEPT.read_text())
    assert done.stdout == KEPT.read_text()


def test_every_operation_is_one_request_and_asserts_a_status_it_documents(document: Json, made: Json) -> None:
    documented = {
        (method.upper(), re.sub(r"{.*?}", "{}", path)): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }
    for item in requests(made):
        request = item["request"]
        path = re.sub(r"{{.*?}}", "{}", request["url"]["raw"].removeprefix("{{baseUrl}}"))
        operation = documented.pop((request["method"], path))
        [status] = re.findall(r"to\.have\.status\((2\d\d)\)", scripts(item, "test"))
        assert status in operation["responses"]
        assert ("security" in operation) == ("auth" not in request)
    assert documented == {}


def test_every_variable_is_declared(made: Json) -> None:
    code = "".join(scripts(item, moment) for item in requests(made) for moment in ("prerequest", "test"))
    scripted = re.findall(r'collectionVariables\.[gs]et\("(\w+)"', code)
    spelled = re.findall(r"{{(\w+)}}", json.dumps(made))
    assert scripted
    assert spelled
    assert {*scripted, *spelled} <= {variable["key"] for variable in made["variable"]}


def test_only_what_never_ends_or_takes_what_no_run_can_know_is_skipped(made: Json) -> None:
    skipped = {item["name"] for item in requests(made) if "skipRequest" in scripts(item, "prerequest")}
    mailed = {
        "Ask for another e-mail address",
        "Confirm one's new e-mail address",
        "Exchange a mailed code for a reset token",
        "Set another password with a reset token",
    }
    admins = {"List all accounts", "List all accounts (as `/api/users`)"}
    admins |= {"List jobs", "Read a job", "Call a job off", "Let a job begin anew", "Let dead letters begin anew"}
    others = {
        "Accept an invitation",
        "End a membership",
        "End one of one's sessions",
        "Note that one has read a notification",
        "Tell how far an import is, and what came of it",
        "Call an import off",
        "Read when people are told that this device is offline",
        "Change when people are told that this device is offline",
        "Call an export off",
        "Delete an export",
        "Download the file of an export",
    }
    assert skipped == {"Hear live events (SSE)", *mailed, *admins, *others}


def test_a_body_is_made_of_examples_and_of_what_the_run_knows(made: Json) -> None:
    sign_up = json.loads(named(made, "Make an account and its organization")["request"]["body"]["raw"])
    assert sign_up == {
        "name": "Ada Lovelace",
        "email": "{{email}}",
        "password": "{{password}}",
        "organizationName": "Analytical Engines",
    }


def test_what_deletes_comes_after_what_uses_it(made: Json) -> None:
    [devices] = [folder for folder in made["item"] if folder["name"] == "devices"]
    asked = [(item["request"]["method"], item["request"]["url"]["raw"]) for item in devices["item"]]
    deletes = [path for method, path in asked if method == "DELETE"]
    assert [path for _, path in asked[-len(deletes) :]] == deletes
    assert deletes == ["{{baseUrl}}/api/devices/{{deviceId}}/keys/{{keyId}}"]
    assert made["item"][-1]["item"][0]["name"] == "Delete a device"  # which other folders use, too
    [organizations] = [folder for folder in made["item"] if folder["name"] == "organizations"]
    deletes = [item["name"] for item in organizations["item"] if item["request"]["method"] == "DELETE"]
    assert deletes[-1] == "Delete an organization"
    last = organizations["item"][-1]["name"]
    assert last == "Read the receipt for a deletion of one's own"


def test_an_operation_that_the_run_needs_may_not_vanish(document: Json) -> None:
    del document["paths"]["/api/auth/login"]
    with pytest.raises(Unfit, match="POST /api/auth/login"):
        collection(document)


def test_a_path_parameter_has_to_come_from_somewhere(document: Json) -> None:
    path = {"in": "path", "name": "thing_id", "required": True, "schema": {"type": "string"}}
    document["paths"]["/api/things/{thing_id}"] = {
        "parameters": [path],
        "get": document["paths"]["/health"]["get"],
    }
    with pytest.raises(Unfit, match="thing_id"):
        collection(document)


def test_what_a_body_requires_needs_an_example(document: Json) -> None:
    del document["components"]["schemas"]["NewDevice"]["properties"]["type"]["example"]
    with pytest.raises(Unfit, match="POST /api/devices has no example of type"):
        collection(document)
