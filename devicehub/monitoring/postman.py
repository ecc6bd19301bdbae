"""The API's Postman collection, made from its OpenAPI document; newman runs it from top to bottom.

The document tells what may be sent. What it cannot tell stands in the tables below: what one request carries to
the next, and which operations have to wait for the end of the run.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from devicehub.web.schemas import camel

Json = dict[str, Any]

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
METHODS = ("get", "post", "put", "patch", "delete")
DESCRIPTION = """\
Made from the OpenAPI document by `make postman`.

Run it from top to bottom, as often as you like: it signs up an account of its own, and its scripts carry tokens
and ids from one request to the next. (A run makes four requests of which an address may by default make 5 a
minute in all: it signs up, logs in, changes and forgets its password.)

A run skips the stream of live events, because it never ends: to send it by hand, give the variable `listen` any
value. It skips as well what takes something that it cannot know, until you give it to the variable of that name:
the id of another session of yours, of a notification, of a job or of an import, of an export that waits to be made
and of one that is made (which it is depends on how fast your worker is), and of a device to be told of when it is
offline (the run has deleted its own by then); a new address, and what is mailed: the code of a forgotten password,
and the tokens for a new address and of an invitation; and leaving an organization (`leave`), which its last owner
cannot.
What only platform admins may do waits for any value of `platformAdmin`.
"""

# A path parameter, or a key of a body, that is called like one of these takes its value from it.
VARIABLES = {
    "baseUrl": "http://127.0.0.1:5000",
    "email": "ada@example.com",
    "password": "correct horse battery",
    "accessToken": "",
    "refreshToken": "",
    "deviceToken": "",
    "spentAccessToken": "",
    "newEmail": "",
    "emailToken": "",
    "userId": "",
    "organizationId": "",
    "ownRole": "owner",
    "guestEmail": "grace@example.com",
    "invitationId": "",
    "receiptId": "",
    "apiKeyId": "",
    "scheduleId": "",
    "exportId": "",
    "deviceId": "",
    "otherDeviceId": "",
    "sessionId": "",
    "challengeId": "",
    "otp": "",
    "resetToken": "",
    "keyId": "",
    "listen": "",
    "invitationToken": "",
    "leave": "",
    "jobId": "",
    "notificationId": "",
    "waitingExportId": "",
    "doneExportId": "",
    "importId": "",
    "ruledDeviceId": "",
    "webhookId": "",
    "deliveryId": "",
    "platformAdmin": "",
}
HEADERS = {"Idempotency-Key": "{{$guid}}"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """What an operation does in a run beyond what the document tells of it."""

    before: str = ""  # a script
    needs: str = ""  # a variable that only a person can give a value
    late: bool = False  # after what deletes
    omits: tuple[str, ...] = ()  # keys of the body
    sends: Mapping[str, str] = field(default_factory=dict)  # key of the body, or of the path: variable
    asks: Mapping[str, str] = field(default_factory=dict)  # key of the query: what has to be asked
    keeps: Mapping[str, str] = field(default_factory=dict)  # variable: key of the answer


_NEW_EMAIL = 'pm.collectionVariables.set("email", pm.variables.replaceIn("ada-{{$guid}}@example.com"));'
_SET_ASIDE = 'pm.collectionVariables.set("spentAccessToken", pm.collectionVariables.get("accessToken"));'
_SKIP = 'if (!pm.collectionVariables.get("{needs}")) pm.execution.skipRequest();'
_TOKENS = {"accessToken": "accessToken", "refreshToken": "refreshToken"}

PARTS = {
    "POST /api/devices/{device_id}/logs": Part(omits=("timestamp",)),  # the example's is too long ago
    "POST /api/auth/signup": Part(before=_NEW_EMAIL, omits=("invitationToken",)),
    "POST /api/auth/login": Part(
        keeps=_TOKENS | {"deviceToken": "deviceToken", "userId": "user.id", "organizationId": "organization.id"}
    ),
    "POST /api/auth/switch-organization": Part(keeps=_TOKENS),
    "POST /api/auth/refresh": Part(before=_SET_ASIDE, keeps=_TOKENS),
    "POST /api/auth/revoke": Part(sends={"token": "spentAccessToken"}),
    "DELETE /api/auth/sessions/{session_id}": Part(needs="sessionId"),
    "POST /api/auth/password/change": Part(sends={"currentPassword": "password"}, keeps=_TOKENS),
    "POST /api/auth/password/forgot": Part(keeps={"challengeId": "challengeId"}),
    "POST /api/auth/password/verify-otp": Part(needs="otp", keeps={"resetToken": "resetToken"}),
    "POST /api/auth/password/reset": Part(needs="resetToken"),
    "POST /api/auth/email/change": Part(
        needs="newEmail", sends={"email": "newEmail", "currentPassword": "password"}
    ),
    "POST /api/auth/email/confirm": Part(needs="emailToken", sends={"token": "emailToken"}),
    "GET /api/logs/imports/{import_id}": Part(needs="importId"),
    "POST /api/logs/imports/{import_id}/cancel": Part(needs="importId"),
    "GET /api/users": Part(needs="platformAdmin"),
    "GET /api/users/users": Part(needs="platformAdmin"),
    "GET /api/admin/jobs": Part(needs="platformAdmin"),
    "POST /api/admin/jobs/retry": Part(needs="platformAdmin"),
    "GET /api/admin/jobs/{job_id}": Part(needs="jobId"),
    "POST /api/admin/jobs/{job_id}/retry": Part(needs="jobId"),
    "POST /api/admin/jobs/{job_id}/cancel": Part(needs="jobId"),
    "POST /api/notifications/{notification_id}/read": Part(needs="notificationId"),
    "GET /api/notifications/rules/{device_id}": Part(needs="ruledDeviceId", sends={"device_id": "ruledDeviceId"}),
    "PATCH /api/notifications/rules/{device_id}": Part(
        needs="ruledDeviceId", sends={"device_id": "ruledDeviceId"}
    ),
    "POST /api/webhooks": Part(keeps={"webhookId": "id"}),
    "POST /api/webhooks/{webhook_id}/test": Part(keeps={"deliveryId": "id"}),
    "POST /api/organizations": Part(keeps={"organizationId": "id"}),
    "DELETE /api/organizations/{organization_id}": Part(keeps={"receiptId": "receiptId"}),
    "GET /api/organizations/deletions/{receipt_id}": Part(late=True),
    "PATCH /api/organizations/{organization_id}/members/{user_id}": Part(sends={"role": "ownRole"}),
    "DELETE /api/organizations/{organization_id}/members/{user_id}": Part(needs="leave"),
    "POST /api/organizations/{organization_id}/invitations": Part(
        sends={"email": "guestEmail"}, keeps={"invitationId": "id"}
    ),
    "POST /api/invitations/accept": Part(needs="invitationToken", sends={"token": "invitationToken"}),
    "POST /api/auth/api-keys": Part(keeps={"apiKeyId": "id"}),
    "POST /api/reports/schedules": Part(omits=("filters",), keeps={"scheduleId": "id"}),
    "PATCH /api/reports/schedules/{schedule_id}": Part(omits=("filters",)),
    "POST /api/export/jobs": Part(omits=("filters",), keeps={"exportId": "jobId"}),
    "POST /api/export/jobs/{export_id}/cancel": Part(
        needs="waitingExportId", sends={"export_id": "waitingExportId"}
    ),
    "GET /api/export/jobs/{export_id}/download": Part(needs="doneExportId", sends={"export_id": "doneExportId"}),
    "DELETE /api/export/jobs/{export_id}": Part(needs="doneExportId", sends={"export_id": "doneExportId"}),
    "POST /api/devices": Part(keeps={"deviceId": "id"}),
    "POST /api/devices/batch": Part(keeps={"otherDeviceId": "items[0].device.id"}),
    "GET /api/analytics/comparison": Part(asks={"devices": "{{deviceId}},{{otherDeviceId}}"}),
    "POST /api/devices/{device_id}/keys": Part(keeps={"keyId": "id"}),
}
FIRST_TAG = "auth"
LAST = (
    "DELETE /api/devices/{device_id}",
    "POST /api/auth/revoke",
    "POST /api/auth/logout-all",
    "POST /api/auth/logout",
)


class Unfit(Exception):
    """The document and the tables here do not fit each other; the message says where."""


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    told: Json

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def part(self) -> Part:
        return PARTS.get(self.name, Part())

    @property
    def success(self) -> HTTPStatus:
        """What it answers when all is well."""
        return min(HTTPStatus(int(status)) for status in self.told["responses"] if status.startswith("2"))

    @property
    def is_endless(self) -> bool:
        return "text/event-stream" in self.told["responses"][str(self.success.value)].get("content", ())

    @property
    def turn(self) -> tuple[bool, bool, int]:
        """When it is its turn: what deletes comes after what uses it, the innermost first."""
        deletes = self.method == "delete"
        return self.part.late, deletes, -self.path.count("/") if deletes else 0

    def parameters(self, place: str) -> Iterator[Json]:
        return (parameter for parameter in self.told["parameters"] if parameter["in"] == place)


def collection(document: Json) -> Json:
    """The Postman collection (v2.1) of an OpenAPI document; raises Unfit."""
    return {
        "info": {
            "name": document["info"]["title"],
            "description": f"{document['info']['description']}\n{DESCRIPTION}",
            "schema": SCHEMA,
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{accessToken}}", "type": "string"}]},
        "variable": [{"key": name, "value": value, "type": "string"} for name, value in VARIABLES.items()],
        "item": list(_folders(document)),
    }


def _folders(document: Json) -> Iterator[Json]:
    """One for each tag; what ends tokens waits for a folder of its own, the last."""
    operations = {operation.name: operation for operation in _operations(document)}
    if strangers := {*PARTS, *LAST} - set(operations):
        raise Unfit(f"The document has no {', '.join(sorted(strangers))}.")

    def folder(name: str, description: str, inside: Iterable[Operation]) -> Json:
        items = [_item(operation, document["components"]["schemas"]) for operation in inside]
        return {"name": name, "description": description, "item": items}

    last = [operations.pop(name) for name in LAST]
    for tag in sorted(document["tags"], key=lambda tag: bool(tag["name"] != FIRST_TAG)):
        own = [operation for operation in operations.values() if tag["name"] in operation.told["tags"]]
        own.sort(key=lambda operation: operation.turn)
        yield folder(tag["name"], tag["description"], own)
    yield folder("the end", "What deletes the device, ends tokens and sessions, and with them the run.", last)


def _operations(document: Json) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                parameters = [*item.get("parameters", ()), *item[method].get("parameters", ())]
                yield Operation(method, path, item[method] | {"parameters": parameters})


def _item(operation: Operation, schemas: Json) -> Json:
    told = operation.told
    request = {
        "method": operation.method.upper(),
        "header": [_header(parameter) for parameter in operation.parameters("header")],
        "url": _url(operation),
        **_description(told),
    }
    if not told.get("security"):
        request["auth"] = {"type": "noauth"}
    if "requestBody" in told:
        kind = next(iter(told["requestBody"]["content"]))
        request["header"].append({"key": "Content-Type", "value": kind})
        request["body"] = {"mode": "raw", "raw": _raw(operation, kind, schemas)}
    return {"name": told["summary"], "event": list(_scripts(operation)), "request": request}


def _scripts(operation: Operation) -> Iterator[Json]:
    needs = "listen" if operation.is_endless else operation.part.needs
    if before := _SKIP.format(needs=needs) if needs else operation.part.before:
        yield _script("prerequest", before)
    success = operation.success
    title = f"answers {success.value} {success.phrase}"
    answers = f'pm.test("{title}", () => pm.response.to.have.status({success.value}));'
    yield _script("test", answers, *_keeping(operation.part.keeps))


def _keeping(keeps: Mapping[str, str]) -> Iterator[str]:
    if keeps:
        yield f'pm.test("gives {", ".join(keeps)}", () => {{'
        yield "  const answer = pm.response.json();"
        for variable, key in keeps.items():
            yield f'  pm.expect(answer.{key}).to.be.a("string").that.is.not.empty;'
            yield f'  pm.collectionVariables.set("{variable}", answer.{key});'
        yield "});"


def _script(moment: str, *lines: str) -> Json:
    return {"listen": moment, "script": {"type": "text/javascript", "exec": list(lines)}}


def _header(parameter: Json) -> Json:
    name = parameter["name"]
    header = {"key": name, "value": HEADERS.get(name, ""), **_description(parameter)}
    return header if name in HEADERS else header | {"disabled": True}


def _url(operation: Operation) -> Json:
    """Its address; what may be asked in the query waits to be ticked."""
    path = operation.path
    for parameter in operation.parameters("path"):
        name = parameter["name"]
        variable = operation.part.sends.get(name, camel(name))
        if variable not in VARIABLES:
            raise Unfit(f"Nothing gives {operation.name} its {name}.")
        path = path.replace(f"{{{name}}}", _variable(variable))
    query = [_query(operation, parameter) for parameter in operation.parameters("query")]
    url = {"raw": _variable("baseUrl") + path, "host": [_variable("baseUrl")], "path": path[1:].split("/")}
    return url | ({"query": query} if query else {})


def _query(operation: Operation, parameter: Json) -> Json:
    asked = operation.part.asks.get(parameter["name"])
    if asked is not None:
        return {"key": parameter["name"], "value": asked, **_description(parameter)}
    if parameter.get("required"):
        raise Unfit(f"Nothing gives {operation.name} its {parameter['name']}.")
    value = str(parameter["schema"].get("default", ""))
    return {"key": parameter["name"], "value": value, "disabled": True, **_description(parameter)}


def _raw(operation: Operation, kind: str, schemas: Json) -> str:
    if kind == "application/json":
        return _text(_body(operation, schemas))
    text: str = operation.told["requestBody"]["content"][kind]["schema"]["example"]
    return text


def _body(operation: Operation, schemas: Json) -> Json:
    """What is required, what has an example, and what the run knows."""
    schema = operation.told["requestBody"]["content"]["application/json"]["schema"]
    schema = schemas[schema["$ref"].rpartition("/")[2]]
    sends = {name: name for name in schema["properties"] if name in VARIABLES} | dict(operation.part.sends)
    body = {}
    for name, told in schema["properties"].items():
        if name in operation.part.omits:
            continue
        if name in sends:
            body[name] = _variable(sends[name])
        elif "example" in told:
            body[name] = told["example"]
        elif name in schema.get("required", ()):
            raise Unfit(f"{operation.name} has no example of {name}.")
    return body


def _description(told: Json) -> Json:
    return {"description": told["description"]} if told.get("description") else {}


def _variable(name: str) -> str:
    return f"{{{{{name}}}}}"


def _text(value: Json) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
