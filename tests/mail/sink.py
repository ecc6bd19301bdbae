"""An SMTP server of our own: it speaks enough of it to be mailed to, keeps what arrives, and says what it is told to."""

import base64
import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from threading import Thread
from typing import Any

CERTIFICATE = Path(__file__).parent / "localhost.pem"
HANG_UP = "(hangs up)"


@dataclass
class Arrived:
    """One mail, and how it came."""

    sender: str
    recipient: str
    raw: bytes
    encrypted: bool
    login: str

    @property
    def message(self) -> EmailMessage:
        parsed: Any = message_from_bytes(self.raw, policy=policy.default)
        return parsed

    def body(self, kind: str) -> str:
        """The part of this kind: `plain` or `html`."""
        part = self.message.get_body((kind,))
        assert part is not None, f"it has no part of {kind}"
        return str(part.get_content())


@dataclass
class Sink:
    """`replies` says what to answer to a verb instead: `{"RCPT": "550 5.1.1 nobody here"}`; `offers` is its EHLO."""

    port: int = 0
    host: str = "127.0.0.1"
    replies: dict[str, str] = field(default_factory=dict)
    offers: tuple[str, ...] = ()
    encrypted: bool = False
    mails: list[Arrived] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    @contextmanager
    def listening(self) -> Iterator["Sink"]:
        with _Server((self.host, self.port), _Session, sink=self) as server:
            self.port = server.server_address[1]
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = False  # closing waits for them

    def __init__(self, *args: Any, sink: Sink) -> None:
        super().__init__(*args)
        self.sink = sink


class _Session(socketserver.StreamRequestHandler):
    server: _Server
    timeout = 10

    def finish(self) -> None:
        super().finish()
        self.request.close()  # the server would close the line, but not what encrypts it

    def handle(self) -> None:
        self.sender = self.recipient = self.login = ""
        self.encrypted = False
        if self.server.sink.encrypted and not self._encrypt():
            return
        self._say("220 sink")
        while line := self.rfile.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            self.server.sink.heard.append(verb.upper())
            if not self._answer(verb.upper(), rest):
                return

    def _answer(self, verb: str, rest: str) -> bool:
        if reply := self.server.sink.replies.get(verb):
            if reply != HANG_UP:
                self._say(reply)
            return reply != HANG_UP and verb != "QUIT"
        if verb == "EHLO":
            lines = ["sink", *self.server.sink.offers]
            for line in lines[:-1]:
                self._say(f"250-{line}")
            self._say(f"250 {lines[-1]}")
        elif verb == "STARTTLS":
            self._say("220 go ahead")
            return self._encrypt()
        elif verb == "AUTH":
            self.login = base64.b64decode(rest.partition(" ")[2]).decode().replace("\0", " ").strip()
            self._say("235 welcome")
        elif verb == "MAIL":
            self.sender = rest
            self._say("250 ok")
        elif verb == "RCPT":
            self.recipient = rest
            self._say("250 ok")
        elif verb == "DATA":
            self._say("354 go on")
            self._take()
            self._say(self.server.sink.replies.get("END", "250 kept"))
        else:
            self._say("221 bye" if verb == "QUIT" else "250 ok")
        return verb != "QUIT"

    def _take(self) -> None:
        """Read a message to its lone dot."""
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        if "END" not in self.server.sink.replies:
            raw = b"".join(lines)
            self.server.sink.mails.append(Arrived(self.sender, self.recipient, raw, self.encrypted, self.login))

    def _encrypt(self) -> bool:
        """Go on encrypted; false when the client does not trust our certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        try:
            self.connection = self.request = context.wrap_socket(self.request, server_side=True)
        except (ssl.SSLError, OSError):
            return False
        self.connection.settimeout(self.timeout)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.encrypted = True
        return True

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")
