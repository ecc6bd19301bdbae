"""What every refusal looks like, whatever was refused and wherever."""

from functools import cache
from typing import Any

import jsonschema_rs
import orjson

from tests.web.operations import document


def refused(answer: Any, status: int, code: str | None = None) -> dict[str, Any]:
    """The problem an answer carries: of this status and code, and as the OpenAPI document draws it."""
    content = answer.data if hasattr(answer, "data") else answer.content  # Flask's client, or httpx
    assert answer.status_code == status, content[:500]
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = orjson.loads(content)
    _drawn().validate(problem)
    assert problem["status"] == status
    assert code is None or problem["code"] == code, problem
    assert problem["type"].endswith("/" + problem["code"].lower().replace("_", "-"))
    assert problem["requestId"] == answer.headers["X-Request-ID"]
    assert ("errors" in problem) is (status == 422 and problem["code"] != "IDEMPOTENCY_KEY_REUSED")
    return problem


@cache  # thousands are looked at
def _drawn() -> jsonschema_rs.Draft202012Validator:
    schema = document()["components"]["schemas"]["Problem"]
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
