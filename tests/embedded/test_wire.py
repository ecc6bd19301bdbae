"""Commands without a driver: an answer, or one kind of failure."""

import socket
import threading
from pathlib import Path

import pytest

from devicehub.embedded.processes import start_mongod
from devicehub.embedded.wire import CommandFailed, command
from tests.conftest import free_port


def test_an_answer_comes_back_and_a_refusal_is_raised(tmp_path: Path) -> None:
    server = start_mongod(tmp_path, port=free_port())
    try:
        devices = [{"_id": number, "name": "ü" * 100} for number in range(500)]
        assert command(server.port, {"insert": "devices", "documents": devices}, database="devicehub")["n"] == 500
        found = command(server.port, {"find": "devices", "batchSize": 500}, database="devicehub")
        assert found["cursor"]["firstBatch"] == devices
        with pytest.raises(CommandFailed, match="no such command"):
            command(server.port, {"nonsense": 1})
        with pytest.raises(CommandFailed, match="duplicate key"):
            command(server.port, {"insert": "devices", "documents": devices[:1]}, database="devicehub")
    finally:
        server.kill()
    with pytest.raises(CommandFailed, match="no answer to hello"):
        command(server.port, {"hello": 1})


@pytest.mark.parametrize(
    "answer", [b"", b"\x00", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x1a\x00\x00\x00" + b"\xff" * 22]
)
def test_what_is_no_mongod_is_a_failure(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def reply() -> None:
            connection, _ = stranger.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(CommandFailed, match="no answer to hello"):
            command(stranger.getsockname()[1], {"hello": 1})
        thread.join()
