"""Where is sent to, and how little is believed of who answers."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpcore
import pytest

from devicehub.webhooks import addresses, sending
from devicehub.webhooks.sending import Outcome, Sender
from tests.webhooks.conftest import Receiver, serve, speak_tls

pytestmark = pytest.mark.usefixtures("app")
PUBLIC, OTHER_PUBLIC = "8.8.8.8", "2606:4700::1111"


def post(url: str) -> Outcome:
    with Sender() as sender:
        return sender.post(url, {"webhook-id": "evt_1"}, "{}")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Let names lead to these addresses, at each look-up to the next ones; gives who was asked for."""

    def lead(*found: list[str]) -> list[str]:
        asked: list[str] = []
        real = socket.getaddrinfo

        def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
            if host in ("127.0.0.1", *(address for chosen in found for address in chosen)):
                return real(host, port, *args, **kwargs)
            asked.append(host)
            chosen = found[min(len(asked), len(found)) - 1]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in chosen]

        monkeypatch.setattr(addresses.socket, "getaddrinfo", getaddrinfo)
        return asked

    return lead


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been connected to, and was not."""
    tried: list[str] = []

    def connect(_: Any, host: str, *__: Any, **___: Any) -> None:
        tried.append(host)
        raise httpcore.ConnectError("not in a test")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    return tried


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433"])
def test_private_addresses_are_refused_by_number_and_by_name(receiver: Receiver, host: str) -> None:
    outcome = post(f"http://{host}:{receiver.port}/")
    assert (outcome.error, outcome.status_code, receiver.got) == ("address_refused", None, [])


@pytest.mark.parametrize(
    "found", [["10.0.0.1"], [PUBLIC, "10.0.0.1"], ["169.254.169.254"], ["fd00::1"], ["::ffff:127.0.0.1"]]
)
def test_a_name_that_leads_to_a_private_one_too_is_refused(
    names: Any, connected: list[str], found: list[str]
) -> None:
    names(found)
    assert post("http://hooks.example.com/").error == "address_refused"
    assert connected == []


def test_what_was_judged_is_what_is_connected_to(names: Any, connected: list[str]) -> None:
    """A name that leads elsewhere when it is asked for again is not asked for again."""
    asked = names([PUBLIC, OTHER_PUBLIC], ["127.0.0.1"])
    assert post("http://rebinding.example.com/").error == "connection_failed"
    assert (asked, connected) == (["rebinding.example.com"], [PUBLIC, OTHER_PUBLIC])


@pytest.mark.usefixtures("private")
def test_the_receiver_hears_its_name_whatever_its_address(names: Any, receiver: Receiver) -> None:
    other = serve("127.0.0.2", receiver.port)
    asked = names(["127.0.0.1"], ["127.0.0.2"])
    try:
        assert post(f"http://hooks.example.com:{receiver.port}/a?b=c").status_code == 204
    finally:
        other.server.shutdown()
        other.server.server_close()
    [got] = receiver.got
    assert (got.headers["host"], got.path) == (f"hooks.example.com:{receiver.port}", "/a?b=c")
    assert (asked, other.got) == (["hooks.example.com"], [])


@pytest.mark.usefixtures("private")
def test_the_next_address_is_tried_where_one_does_not_answer(names: Any, receiver: Receiver) -> None:
    names(["127.0.0.3", "127.0.0.1"])
    assert post(f"http://hooks.example.com:{receiver.port}/").status_code == 204


def test_an_unknown_name_is_a_failure_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", unknown)
    assert post("http://hooks.example.com/").error == "name_unknown"


@pytest.mark.usefixtures("private")
def test_no_proxy_of_the_environment_is_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert post(receiver.url).status_code == 204


@contextmanager
def talking(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does with each connection what a test says; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(connection: socket.socket) -> None:
            with connection:
                talk(connection)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=[connection], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]


def drip(connection: socket.socket) -> None:
    """A byte now and then, for ever."""
    over = threading.Event()
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not over.wait(0.05):
            connection.sendall(b"x")
    except OSError:
        pass


def drip_in_a_handshake(connection: socket.socket) -> None:
    """The beginning of a record of TLS that never ends."""
    over = threading.Event()
    try:
        connection.sendall(b"\x16\x03\x03\x40\x00")
        while not over.wait(0.05):
            connection.sendall(b"x")
    except OSError:
        pass


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize(("scheme", "talk"), [("http", drip), ("https", drip_in_a_handshake)])
def test_who_answers_a_byte_at_a_time_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, scheme: str, talk: Callable[[socket.socket], None]
) -> None:
    monkeypatch.setattr(sending, "PATIENCE_S", 0.5)
    with talking(talk) as port:
        outcome = post(f"{scheme}://127.0.0.1:{port}/")
    assert outcome.status_code is None
    assert outcome.error in ("timed_out", "tls_failed", "connection_failed", "connection_lost")


@pytest.mark.usefixtures("private")
def test_of_an_endless_answer_a_kilobyte_is_read() -> None:
    def endless(connection: socket.socket) -> None:
        try:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b"a" * 65_536)
        except OSError:
            pass

    with talking(endless) as port:
        outcome = post(f"http://127.0.0.1:{port}/")
    assert (outcome.is_success, outcome.answer) == (True, "a" * 1024)


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 9999 What\r\n\r\n", b"\0" * 100])
def test_what_is_no_answer_is_a_failure_with_a_word(said: bytes) -> None:
    def say(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(said)
        connection.close()

    with talking(say) as port:
        assert post(f"http://127.0.0.1:{port}/").error == "connection_lost"


@pytest.mark.usefixtures("private")
def test_tls_proves_the_name_and_not_the_address(
    names: Any, receiver: Receiver, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak_tls(receiver, certificate)
    names(["127.0.0.1"])
    assert post(f"https://hooks.example.com:{receiver.port}/").error == "tls_failed"  # nobody vouches for it
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(sending, "_tls", lambda: trusting)
    assert post(f"https://hooks.example.com:{receiver.port}/").status_code == 204
    assert post(f"https://other.example.com:{receiver.port}/").error == "tls_failed"


@pytest.mark.usefixtures("private")
def test_the_connection_is_kept_between_deliveries(receiver: Receiver, names: Any) -> None:
    asked = names(["127.0.0.1"])
    with Sender() as sender:
        told = [sender.post(f"http://hooks.example.com:{receiver.port}/", {}, "{}") for _ in range(3)]
    assert ([one.status_code for one in told], len(asked)) == ([204] * 3, 1)
