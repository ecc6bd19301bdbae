"""The OpenAPI document is valid, whole, and of one piece with the routes."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from devicehub.web import openapi
from devicehub.web.guards import Guard, guard_of

Json = dict[str, Any]

# What is done at once, or later where it is much: it is the answer that says which.
IN_TWO_WAYS = {"POST /api/logs/import", "GET /api/export/jobs/{export_id}/download"}
METHODS = ("get", "put", "post", "patch", "delete")
PROBLEM = "application/problem+json"


@pytest.fixture
def document(app: Flask) -> Json:
    whole: Json = json.loads(json.dumps(openapi.spec().to_dict()))
    return whole


@pytest.fixture
def operations(document: Json) -> dict[str, Json]:
    """Every operation by its name, with the parameters of its path."""
    return {
        f"{method.upper()} {path}": item[method]
        | {"parameters": item.get("parameters", []) + item[method]["parameters"]}
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    }


def routes(app: Flask) -> Iterator[tuple[str, Guard]]:
    """Every route of the application as the document would name it, with its guard."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            guard = guard_of(app.view_functions[rule.endpoint], method)
            if guard is not None:
                yield f"{method} {path}", guard


def bodies(operation: Json) -> Iterator[Json]:
    """The schemas of what it takes and answers in JSON, problems aside."""
    for body in (operation.get("requestBody", {}), *operation["responses"].values()):
        if "application/json" in body.get("content", {}):
            yield body["content"]["application/json"]["schema"]


def inner(value: Any) -> Iterator[Json]:
    """Every object within a JSON value, itself included."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from inner(part)


def found(document: Json, reference: str) -> Any:
    """What a `$ref` refers to; raises KeyError."""
    assert reference.startswith("#/")
    place: Any = document
    for step in reference[2:].split("/"):
        place = place[step.replace("~1", "/").replace("~0", "~")]
    return place


def example(document: Json, schema: Json) -> Any:
    """The example that a schema gives, or that the schemas within it give; raises KeyError where one gives none."""
    if "example" in schema:
        return schema["example"]
    if "$ref" in schema:
        return example(document, found(document, schema["$ref"]))
    if "anyOf" in schema:
        return example(document, schema["anyOf"][0])
    if "properties" in schema:
        others = schema.get("oneOf", [{}])[0].get("not", {}).get("required", [])  # those of another way
        return {
            name: example(document, schema["properties"][name]) for name in schema["properties"].keys() - others
        }
    if "enum" in schema:
        return schema["enum"][0]
    return [example(document, schema["items"])]


def conforms(document: Json, value: Any, schema: Json) -> None:
    """Raise unless `value` is of `schema`, whose references are the document's."""
    whole = {"allOf": [schema], "components": document["components"]}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(value)


def test_it_is_a_valid_document(document: Json) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_it_is_what_is_served(client: FlaskClient, document: Json) -> None:
    answer = client.get("/openapi.json")
    assert (answer.status_code, answer.content_type, answer.json) == (200, "application/json", document)


def test_it_has_every_route_and_no_other(app: Flask, operations: dict[str, Json]) -> None:
    assert set(operations) == {name for name, _ in routes(app)}


def test_every_reference_leads_to_something_and_nothing_is_there_in_vain(document: Json) -> None:
    references = [part["$ref"] for part in inner(document) if isinstance(part.get("$ref"), str)]
    for reference in references:
        found(document, reference)
    components = document["components"]
    there = {f"#/components/{kind}/{name}" for kind in components for name in components[kind]}
    demands = [part["security"] for part in inner(document) if isinstance(part.get("security"), list)]
    schemes = {name for demand in demands for one in demand for name in one}
    assert there == set(references) | {f"#/components/securitySchemes/{name}" for name in schemes}


def test_every_operation_says_what_it_is(document: Json, operations: dict[str, Json]) -> None:
    tags = {tag["name"] for tag in document["tags"] if tag["description"]}
    for name, operation in operations.items():
        assert operation["summary"], name
        assert len(operation["tags"]) == 1, name
        assert tags.issuperset(operation["tags"]), name
    identities = [operation["operationId"] for operation in operations.values()]
    assert len(set(identities)) == len(identities)


def test_every_body_has_an_example_that_is_of_its_schema(document: Json, operations: dict[str, Json]) -> None:
    schemas = [schema for operation in operations.values() for schema in bodies(operation)]
    assert len(schemas) > len(operations)
    for schema in schemas:
        conforms(document, example(document, schema), schema)


def test_every_parameter_is_told_once_and_ids_have_an_example(document: Json, operations: dict[str, Json]) -> None:
    for name, operation in operations.items():
        parameters = [(parameter["in"], parameter["name"]) for parameter in operation["parameters"]]
        assert len(set(parameters)) == len(parameters), name
        assert {f"{{{named}}}" for place, named in parameters if place == "path"} == set(
            re.findall(r"{\w+}", name)
        )
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                conforms(document, parameter["schema"]["example"], parameter["schema"])


def test_every_response_is_described_and_has_a_body_unless_it_cannot(operations: dict[str, Json]) -> None:
    for name, operation in operations.items():
        successes = [status for status in operation["responses"] if status.startswith("2")]
        assert len(successes) == (2 if name in IN_TWO_WAYS else 1), name
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
            assert ("content" in response) is (status not in ("204", "304")), (name, status)
            assert {"X-Request-ID", "X-Response-Time"} <= set(response["headers"]), (name, status)


def test_what_can_go_wrong_is_told(app: Flask, operations: dict[str, Json]) -> None:
    for name, guard in routes(app):
        operation = operations[name]
        told = {status: set(_codes(response)) for status, response in operation["responses"].items()}
        assert told["500"] == {"INTERNAL_ERROR"}, name
        if guard.role is not None:
            assert operation["security"][0] == {"accessToken": []}, name
            assert {"AUTHENTICATION_REQUIRED", "TOKEN_EXPIRED", "TOKEN_REVOKED"} <= told["401"], name
        if guard.role not in (None, "viewer"):
            assert "INSUFFICIENT_ROLE" in told["403"], name
        if "{" in name:
            assert any(code.endswith("_NOT_FOUND") for code in told["404"]), name
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= set(told), name
        if guard.limit != "none":
            assert "VALIDATION_ERROR" in told["422"], name
            assert all(code.endswith("RATE_LIMIT_EXCEEDED") for code in told["429"]), name
            assert "DATABASE_UNAVAILABLE" in told["503"], name
            for status in ("429", "503"):
                assert "Retry-After" in operation["responses"][status]["headers"], name


def test_every_example_of_an_error_is_a_problem_of_its_status(document: Json, operations: dict[str, Json]) -> None:
    seen = set()
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            for code in _codes(response):
                problem = document["components"]["examples"][code]["value"]
                conforms(document, problem, {"$ref": "#/components/schemas/Problem"})
                assert (str(problem["status"]), problem["code"]) == (status, code), name
                seen.add(code)
    assert seen == set(document["components"]["examples"])


def _codes(response: Json) -> list[str]:
    """The codes of the examples of an error."""
    examples = response.get("content", {}).get(PROBLEM, {}).get("examples", {})
    for code, reference in examples.items():
        assert reference == {"$ref": f"#/components/examples/{code}"}
    return list(examples)
