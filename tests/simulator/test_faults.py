"""A server that is slow, limited, away or forgetful, and what the fleet makes of it."""

import socketserver
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from threading import Event, Thread
from typing import Any

import pytest

from devicehub.simulator.behaviour import Steady
from devicehub.simulator.client import Client, NoAnswer, Refused
from devicehub.simulator.fleet import Device, Unregistered, assemble
from devicehub.simulator.kept import Account
from devicehub.simulator.runner import Run
from devicehub.simulator.session import Session, SignInLost
from tests.conftest import wait_until
from tests.simulator.stub import Answer, Fault, Request, Stub, problem, serving

ACCOUNT = Account("someone@example.com", "a long password")


@pytest.fixture
def session(stub: Stub) -> Iterator[Session]:
    stub.users[ACCOUNT.email] = ACCOUNT.password
    with closing(Client(stub.url, timeout=5)) as client:
        yield Session.begin(client, ACCOUNT, print)


@contextmanager
def beating(session: Session, devices: Sequence[Device], connections: int = 8) -> Iterator[Run]:
    """A fleet that beats every 20 ms."""
    run = Run(session, devices, Steady(0.02), connections)
    run.start()
    try:
        yield run
    finally:
        run.stop()


def first(path_end: str, answer: Answer) -> Fault:
    """The first request to a path of this end is answered so; the others as usual."""
    left = [answer]
    return lambda request: left.pop() if left and request.path.endswith(path_end) else None


def test_a_fleet_beats_over_no_more_connections_than_it_was_given(stub: Stub, session: Session) -> None:
    busy, most, gate = set[str](), list[int](), Event()

    def crowd(request: Request) -> None:
        busy.add(request.path)
        most.append(len(busy))
        gate.wait(10)
        busy.discard(request.path)

    fleet = assemble(session, 20, 5, print)
    stub.fault = crowd
    with beating(session, fleet, connections=3) as run:
        wait_until(lambda: len(busy) == 3)
        gate.set()
        wait_until(lambda: len(stub.beats) == 20)
    assert max(most) == 3
    assert run.tally.clean


def test_a_device_whose_beat_is_unanswered_is_not_beaten_again(stub: Stub, session: Session) -> None:
    slow, *others = fleet = assemble(session, 5, 5, print)
    gate = Event()

    def stall(request: Request) -> None:
        if slow.id in request.path:
            gate.wait(10)

    stub.fault = stall
    with beating(session, fleet) as run:
        wait_until(lambda: min(stub.beats[other.id] for other in others) >= 10)
        assert len(stub.asked(f"/api/devices/{slow.id}/heartbeat")) == 1
        gate.set()
        wait_until(lambda: stub.beats[slow.id] >= 2)
    assert run.tally.missed >= 5
    assert run.tally.clean


@pytest.mark.parametrize(
    "refusal",
    [problem(503, "DATABASE_UNAVAILABLE"), problem(429, "DEVICE_RATE_LIMIT_EXCEEDED", Retry_After="1")],
)
def test_a_server_that_says_later_is_asked_again_and_the_refusal_counted(
    stub: Stub, session: Session, refusal: Answer
) -> None:
    fleet = assemble(session, 1, 5, print)
    stub.fault = first("/heartbeat", refusal)
    with beating(session, fleet) as run:
        wait_until(lambda: run.tally.ok >= 2)
    assert run.tally.errors == {f"{refusal[0]} {(refusal[1] or {})['code']}": 1}
    assert not run.tally.clean


def test_a_device_put_off_does_not_keep_the_others_from_beating(stub: Stub, session: Session) -> None:
    limited, *others = fleet = assemble(session, 5, 5, print)
    refusal = problem(429, "DEVICE_RATE_LIMIT_EXCEEDED", Retry_After="600")
    stub.fault = lambda request: refusal if limited.id in request.path else None
    with beating(session, fleet) as run:
        wait_until(lambda: min(stub.beats[other.id] for other in others) >= 10)
    assert len(stub.asked(f"/api/devices/{limited.id}/heartbeat")) == 1
    assert run.tally.failed == 1
    assert run.online == 4


def test_a_device_that_is_gone_is_an_error_of_its_own_only(stub: Stub, session: Session) -> None:
    gone, *others = fleet = assemble(session, 3, 5, print)
    stub.fault = lambda request: problem(404, "DEVICE_NOT_FOUND") if gone.id in request.path else None
    with beating(session, fleet) as run:
        wait_until(lambda: min(stub.beats[other.id] for other in others) >= 5)
    assert set(run.tally.errors) == {"404 DEVICE_NOT_FOUND"}
    assert run.online == 2


def test_every_device_beats_with_a_key_of_its_own_whatever_becomes_of_the_session(
    stub: Stub, session: Session
) -> None:
    fleet = assemble(session, 5, 5, print)
    stub.expire()
    with beating(session, fleet) as run:
        wait_until(lambda: len(stub.beats) == 5)
    assert run.tally.clean
    assert not stub.asked("/api/auth/refresh")
    for one in fleet:
        sent = {request.headers["authorization"] for request in stub.asked(f"/api/devices/{one.id}/heartbeat")}
        assert sent == {f"Bearer {key}" for key in stub.keys_of(one.id)}


def test_a_key_that_is_no_longer_taken_is_replaced_and_no_beat_is_lost(stub: Stub, session: Session) -> None:
    fleet = assemble(session, 3, 5, print)
    with beating(session, fleet) as run:
        wait_until(lambda: len(stub.beats) == 3)
        stub.lose_keys()
        beats = stub.beats.copy()
        wait_until(lambda: all(stub.beats[one.id] > beats[one.id] for one in fleet))
    assert run.tally.clean
    assert [len(stub.keys_of(one.id)) for one in fleet] == [1, 1, 1]


def test_keys_that_are_not_known_are_made_and_the_idlest_goes_where_there_is_no_room(
    stub: Stub, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    [one] = assemble(session, 1, 5, print)
    first = stub.keys_of(one.id)
    for run in range(1, 4):
        session.keyring.clear()
        assemble(session, 1, 5, print)
        assert len(stub.keys_of(one.id)) == min(run + 1, 3)
    assert capsys.readouterr().out.count("Keys made for 1 of them.") == 3
    assert first[0] not in stub.keys_of(one.id)
    assert session.keyring.get(one.id) in stub.keys_of(one.id)


def test_a_batch_that_was_answered_before_has_no_keys_and_they_are_made_one_by_one(
    stub: Stub, session: Session
) -> None:
    def replay(request: Request) -> Answer | None:
        if not request.path.endswith("/batch"):
            return None
        items = [stub._create(*item) for item in enumerate(request.body["devices"])]
        stub.lose_keys()
        return 200, {"items": [{k: v for k, v in item.items() if k != "key"} for item in items]}, {}

    stub.fault = replay
    fleet = assemble(session, 3, 5, print)
    assert [session.keyring.get(one.id) for one in fleet] == [key for one in fleet for key in stub.keys_of(one.id)]


def test_a_limit_on_making_keys_is_waited_out_and_what_was_made_is_kept(stub: Stub, session: Session) -> None:
    fleet = assemble(session, 2, 5, print)
    session.keyring.clear()
    stub.fault = first(f"/{fleet[1].id}/keys", problem(429, "DEVICE_RATE_LIMIT_EXCEEDED", Retry_After="0"))
    assemble(session, 2, 5, print)
    assert all(session.keyring.get(one.id) for one in fleet)
    session.keyring.clear()
    stub.fault = first(f"/{fleet[1].id}/keys", problem(403, "FORBIDDEN"))
    with pytest.raises(Refused, match="403 FORBIDDEN"):
        assemble(session, 2, 5, print)
    assert session.keyring.get(fleet[0].id)


def test_expired_tokens_are_refreshed_once_for_a_whole_fleet_that_needs_keys(stub: Stub, session: Session) -> None:
    fleet = assemble(session, 20, 5, print)
    with beating(session, fleet, connections=16) as run:
        for expiry in range(1, 4):
            stub.expire()
            stub.lose_keys()
            wait_until(lambda expiry=expiry: len(stub.asked("/api/auth/refresh")) == expiry)
            beats = run.tally.ok
            wait_until(lambda beats=beats: run.tally.ok > beats + 40)
    assert len(stub.asked("/api/auth/refresh")) == 3
    assert len(stub.asked("/api/auth/login")) == 1
    assert run.tally.clean


def test_tokens_are_refreshed_before_they_end(stub: Stub) -> None:
    stub.users[ACCOUNT.email] = ACCOUNT.password
    stub.lifetime = 0
    with closing(Client(stub.url)) as client:
        session = Session.begin(client, ACCOUNT, print)
        assert session.request("GET", "/api/devices?page=1&limit=1").ok
    refused = [request for request in stub.requests if request.headers.get("authorization") == "Bearer access-1"]
    assert len(stub.asked("/api/auth/refresh")) == 1
    assert not refused, "the ended token was tried first"


def test_a_session_that_was_ended_signs_in_again(stub: Stub, session: Session) -> None:
    fleet = assemble(session, 3, 5, print)
    stub.expire()
    stub.lose_keys()
    stub.fault = first("/refresh", problem(401, "REFRESH_TOKEN_REUSED"))
    with beating(session, fleet) as run:
        wait_until(lambda: run.tally.ok >= 5)
    assert len(stub.asked("/api/auth/login")) == 2
    assert run.tally.clean


def test_an_account_that_is_no_longer_let_in_ends_the_run(stub: Stub, session: Session) -> None:
    fleet = assemble(session, 3, 5, print)
    stub.expire()
    stub.lose_keys()
    stub.users.clear()
    stub.fault = lambda request: problem(401, "INVALID_REFRESH_TOKEN") if "refresh" in request.path else None
    with beating(session, fleet) as run:
        assert run.ended.wait(10)
    assert isinstance(run.failure, SignInLost)
    assert ACCOUNT.email in str(run.failure)


def test_a_server_that_hangs_up_between_requests_is_no_error(stub: Stub, session: Session) -> None:
    fleet = assemble(session, 5, 5, print)
    stub.hang_up = True
    with beating(session, fleet, connections=2) as run:
        wait_until(lambda: run.tally.ok >= 30)
    assert run.tally.clean


def test_a_server_that_went_away_is_found_again_when_it_returns() -> None:
    restarted = Stub(users={ACCOUNT.email: ACCOUNT.password}, hang_up=True)
    with serving(restarted):
        client = Client(restarted.url)
        session = Session.begin(client, ACCOUNT, print)
        fleet = assemble(session, 2, 5, print)
    with closing(client), beating(session, fleet) as run:
        wait_until(lambda: run.tally.failed >= 2)
        assert run.online == 0
        with serving(restarted, port=int(client.url.rpartition(":")[2])):
            wait_until(lambda: run.online == 2)
            run.stop()
    assert set(run.tally.errors) == {"no answer: connection refused"}


def test_beats_still_unanswered_at_the_end_are_told_and_are_no_success(stub: Stub, session: Session) -> None:
    fleet = assemble(session, 2, 5, print)
    gate = Event()
    stub.fault = lambda _: gate.wait(10) and None
    run = Run(session, fleet, Steady(0.02), connections=2)
    run.start()
    wait_until(lambda: run.tally.pending == 2)
    run.stop(grace=0)
    assert "unanswered" in run.tally.summary()
    assert not run.tally.clean
    gate.set()
    run.stop()


def test_a_bug_in_a_scenario_ends_the_run_instead_of_losing_a_device(session: Session) -> None:
    class Broken(Steady):
        def beat(self, device: Device) -> dict[str, Any]:
            raise LookupError("nothing to say")

    run = Run(session, assemble(session, 3, 5, print), Broken(0.02), connections=1)
    run.start()
    assert run.ended.wait(10)
    run.stop()
    assert isinstance(run.failure, LookupError)


def test_a_fleet_is_registered_in_batches_of_at_most_500_each_under_a_key_of_its_own(
    stub: Stub, session: Session
) -> None:
    fleet = assemble(session, 1100, 5, print)
    batches = stub.asked("/api/devices/batch")
    assert [len(batch.body["devices"]) for batch in batches] == [500, 500, 100]
    assert len({batch.headers["idempotency-key"] for batch in batches}) == 3
    assert [stub.devices[one.id]["serialNumber"] for one in fleet] == [f"SIM-{n:06d}" for n in range(1, 1101)]


def test_a_batch_asked_again_after_an_outage_carries_the_same_key(stub: Stub, session: Session) -> None:
    stub.fault = first("/batch", problem(503, "DATABASE_UNAVAILABLE"))
    assemble(session, 3, 5, print)
    one, two = stub.asked("/api/devices/batch")
    assert one.headers["idempotency-key"] == two.headers["idempotency-key"]
    assert one.body == two.body


def test_only_the_devices_that_are_missing_are_registered(stub: Stub, session: Session) -> None:
    before = assemble(session, 3, 5, print)
    after = assemble(session, 5, 5, print)
    assert after[:3] == before
    assert [len(batch.body["devices"]) for batch in stub.asked("/api/devices/batch")] == [3, 2]


def test_a_fleet_registered_meanwhile_by_another_simulator_is_shared(stub: Stub, session: Session) -> None:
    def race(request: Request) -> None:
        if request.path.endswith("/batch"):
            stub.fault = lambda _: None
            assemble(session, 3, 5, print)

    stub.fault = race
    assert len(assemble(session, 3, 5, print)) == 3
    assert len(stub.devices) == 3


def test_a_device_that_cannot_be_registered_is_named_with_the_reason(stub: Stub, session: Session) -> None:
    error = {"code": "VALIDATION_ERROR", "detail": "No room."}
    items = [{"index": 0, "status": 422, "error": error}]
    stub.fault = first("/batch", (200, {"items": items}, {}))
    with pytest.raises(Unregistered, match=r"SIM-000001 .*No room\."):
        assemble(session, 1, 5, print)


def test_a_slower_run_lengthens_the_interval_its_devices_promise(stub: Stub, session: Session) -> None:
    assemble(session, 2, 0.5, print)
    assert [device["heartbeatInterval"] for device in stub.devices.values()] == [5, 5]
    assemble(session, 2, 29.5, print)
    assert [device["heartbeatInterval"] for device in stub.devices.values()] == [30, 30]
    assemble(session, 2, 10, print)
    assert [device["heartbeatInterval"] for device in stub.devices.values()] == [30, 30]


@pytest.mark.parametrize(
    ("said", "words"), [(b"", "connection lost"), (b"SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP answer")]
)
def test_a_server_that_does_not_speak_http_has_not_answered(said: bytes, words: str) -> None:
    class Stranger(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(said)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Stranger) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        port = server.server_address[1]
        with closing(Client(f"http://127.0.0.1:{port}")) as client, pytest.raises(NoAnswer, match=words):
            client.request("GET", "/health")
        server.shutdown()


def test_a_server_that_never_answers_is_given_up_on(stub: Stub) -> None:
    gate = Event()
    stub.fault = lambda _: gate.wait(10) and None
    with closing(Client(stub.url, timeout=0.05)) as client, pytest.raises(NoAnswer, match="timed out"):
        client.request("GET", "/health")
    gate.set()
