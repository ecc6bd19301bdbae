"""The operations of the API as its own document lists them, so that a new one is tested without being named."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from apispec import APISpec

from devicehub.web import openapi

UNKNOWN = "65f0a1b2c3d4e5f6a7b8c9d2"


@dataclass(frozen=True)
class Operation:
    """One method of one path, and what the document says of it."""

    method: str
    path: str
    document: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_guarded(self) -> bool:
        return {} not in self.document.get("security", [{}])

    @property
    def takes_body(self) -> bool:
        return "application/json" in self._content

    @property
    def takes_lines(self) -> bool:
        return "application/x-ndjson" in self._content

    @property
    def _content(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document.get("requestBody", {}).get("content", {})
        return found

    @property
    def lines(self) -> str:
        """A body of lines, of the document's own examples."""
        text: str = self._content["application/x-ndjson"]["schema"]["example"]
        return text

    @property
    def has_id(self) -> bool:
        return "{" in self.path

    @property
    def is_stream(self) -> bool:
        return "text/event-stream" in self.document["responses"].get("200", {}).get("content", {})

    @property
    def in_path(self) -> list[str]:
        """The parameters of its path, in order."""
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def in_query(self) -> dict[str, bool]:
        """The parameters of its query, and whether each has to be there."""
        found = self.document.get("parameters", [])
        return {one["name"]: one.get("required", False) for one in found if one["in"] == "query"}

    def address(self, ids: str | Mapping[str, str]) -> str:
        """The path, with every parameter filled in: by one id, or by its name where that is among `ids`."""
        if isinstance(ids, str):
            return re.sub(r"\{\w+\}", ids, self.path)
        return re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], UNKNOWN), self.path)

    @property
    def scope(self) -> str | None:
        """The scope that lets an API key in; None when none is let in."""
        return next((one["apiKey"][0] for one in self.document["security"] if "apiKey" in one), None)

    @property
    def lets_devices_in(self) -> bool:
        return {"deviceKey": []} in self.document["security"]

    @property
    def is_for_platform_admins(self) -> bool:
        """Whether it is about no organization, but about all of them."""
        return self.path.startswith("/api/admin/")

    def documents(self, status: int, code: str) -> bool:
        """Whether the document names this failure of this operation."""
        content = self.document["responses"].get(str(status), {}).get("content", {})
        return code in content.get("application/problem+json", {}).get("examples", {})

    @property
    def body(self) -> dict[str, Any]:
        """The schema of its body."""
        return resolved(self.document["requestBody"]["content"]["application/json"]["schema"])

    @property
    def example(self) -> dict[str, Any]:
        """A body with all that is required, of the document's own examples."""
        properties, one_way = self.body.get("properties", {}), self.body.get("oneOf", [{}])[0]
        first_kind = self.body.get("allOf", [{}])[0].get("then", {})
        required = [name for part in (self.body, one_way, first_kind) for name in part.get("required", [])]
        return {name: properties[name]["example"] for name in required}

    @property
    def whole_example(self) -> dict[str, Any]:
        """A body with all that it may hold, of the document's own examples."""
        return {name: one["example"] for name, one in self.body.get("properties", {}).items() if "example" in one}

    @property
    def query(self) -> list[dict[str, Any]]:
        """The parameters of its query."""
        return [parameter for parameter in self.document.get("parameters", []) if parameter["in"] == "query"]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema, or the component it refers to."""
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def document() -> dict[str, Any]:
    """The document of the API, to be read and not to be changed."""
    return _drawn(openapi.spec())


@cache  # it takes as long as several requests, and is asked for at each
def _drawn(spec: APISpec) -> dict[str, Any]:
    drawn: dict[str, Any] = spec.to_dict()
    return drawn


def operations() -> Iterator[Operation]:
    """Every operation the document lists under `/api`."""
    for path, item in document()["paths"].items():
        shared = item.get("parameters", [])
        for method in ("get", "put", "post", "patch", "delete"):
            if method in item and path.startswith("/api/"):
                own = item[method]
                yield Operation(method.upper(), path, own | {"parameters": shared + own.get("parameters", [])})
