"""A server that can be told to misbehave: for faults a real DeviceHub cannot be made to show on demand."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, Any] | None, dict[str, str]]
Fault = Callable[["Request"], Answer | None]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


def problem(status: int, code: str, **headers: str) -> Answer:
    body = {"status": status, "code": code, "detail": "As the test asked."}
    return status, body, {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class Stub:
    """The little of the API that the simulator uses. `fault` may answer first, and may block."""

    fault: Fault = lambda _: None
    hang_up: bool = False
    requests: list[Request] = field(default_factory=list)
    users: dict[str, str] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)  # each with its device
    beats: Counter[str] = field(default_factory=Counter)
    made: int = 0
    generation: int = 0
    expired: int = 0
    lifetime: int = 900
    url: str = ""
    lock: Any = field(default_factory=Lock)

    def asked(self, path: str, method: str = "POST") -> list[Request]:
        return [r for r in self.requests if r.path == path and r.method == method]

    def lose_keys(self) -> None:
        """End every key given so far."""
        with self.lock:
            self.keys.clear()

    def expire(self) -> None:
        """End the access tokens given so far; their refresh tokens live."""
        self.expired = self.generation

    def keys_of(self, device_id: str) -> list[str]:
        return [key for key, owner in self.keys.items() if owner == device_id]

    def answer(self, request: Request) -> Answer:
        with self.lock:
            self.requests.append(request)
        faulty = self.fault(request)
        if faulty:
            return faulty
        with self.lock:
            return self._answer(request)

    def _answer(self, request: Request) -> Answer:
        if request.path.startswith("/api/auth/"):
            return self._auth(request.path.rpartition("/")[2], request.body)
        credential = request.headers["authorization"].removeprefix("Bearer ")
        place = request.path.split("/")[3:]
        if place[-1:] == ["heartbeat"]:
            return self._beat(place[0], credential)
        if int(credential.rpartition("-")[2]) <= self.expired:
            return problem(401, "TOKEN_EXPIRED")
        match request.method, place:
            case "GET", []:
                return self._list(int(request.query["page"][0]), int(request.query["limit"][0]))
            case "POST", ["batch"]:
                return (
                    200,
                    {"items": [self._create(*item) for item in enumerate(request.body["devices"])]},
                    {},
                )
            case "POST", [device_id, "keys"]:
                if len(self.keys_of(device_id)) == 3:
                    return problem(409, "CONFLICT")
                return 201, {"key": self._new_key(device_id)}, {}
            case "GET", [device_id, "keys"]:
                listed = [{"id": key, "lastUsedAt": None, "createdAt": key} for key in self.keys_of(device_id)]
                return 200, {"items": listed}, {}
            case "DELETE", [_, "keys", key]:
                del self.keys[key]
                return 204, {}, {}
            case "PATCH", [device_id]:
                self.devices[device_id] |= request.body
                return 200, self.devices[device_id], {}
        return problem(404, "NOT_FOUND")

    def _beat(self, device_id: str, key: str) -> Answer:
        if self.keys.get(key) != device_id:
            return problem(401, "TOKEN_REVOKED")
        self.beats[device_id] += 1
        return 200, {"deviceId": device_id, "presence": "online"}, {}

    def _new_key(self, device_id: str) -> str:
        self.made += 1
        key = f"dhd_{self.made:08d}"
        self.keys[key] = device_id
        return key

    def _auth(self, act: str, body: dict[str, str]) -> Answer:
        if act == "signup":
            self.users[body["email"]] = body["password"]
            return 201, {}, {}
        if act == "login" and self.users.get(body["email"]) != body["password"]:
            return problem(401, "INVALID_CREDENTIALS")
        if act == "refresh" and body["refreshToken"] != f"refresh-{self.generation}":
            return problem(401, "INVALID_REFRESH_TOKEN")
        self.generation += 1
        pair = {"accessToken": f"access-{self.generation}", "refreshToken": f"refresh-{self.generation}"}
        return 200, {**pair, "expiresIn": self.lifetime}, {}

    def _list(self, page: int, limit: int) -> Answer:
        found = list(self.devices.values())
        more = len(found) > page * limit
        return 200, {"items": found[(page - 1) * limit : page * limit], "pagination": {"hasNext": more}}, {}

    def _create(self, index: int, body: dict[str, Any]) -> dict[str, Any]:
        if any(device["serialNumber"] == body["serialNumber"] for device in self.devices.values()):
            return {"index": index, "status": 409, "error": {"code": "DUPLICATE_ENTRY"}}
        device = {**body, "id": f"{len(self.devices):024x}"}
        self.devices[device["id"]] = device
        return {"index": index, "status": 201, "device": device, "key": self._new_key(device["id"])}


def handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(
                self.command, parts.path, parse_qs(parts.query), headers, json.loads(body) if body else None
            )
            status, answer, more = stub.answer(request)
            content = b"<html>" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = self.close_connection or stub.hang_up

        do_GET = do_POST = do_PATCH = do_DELETE = do

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that left before their answer."""


@contextmanager
def serving(stub: Stub, port: int = 0) -> Iterator[Stub]:
    """The stub on a port of its own, or on the one named."""
    with Server(("127.0.0.1", port), handler(stub)) as server:
        stub.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()
