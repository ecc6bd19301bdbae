"""Who the simulator is: signing in, staying signed in, and the devices it speaks for with their own keys."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

from devicehub.simulator.client import Answer, Client, Opened, Refused, Say, checked, insist
from devicehub.simulator.kept import Account, Accounts, Keyring

RENEWED_AFTER = 0.9


class SignInLost(Exception):
    """The session has ended and its account is no longer let in."""


@dataclass(frozen=True)
class Tokens:
    access: str
    refresh: str
    renew_at: float

    @classmethod
    def of(cls, body: dict[str, Any]) -> "Tokens":
        renew_at = time.monotonic() + body["expiresIn"] * RENEWED_AFTER
        return cls(body["accessToken"], body["refreshToken"], renew_at)


class Session:
    """A signed-in account. Its tokens are renewed by the first thread that sees the need; the others wait."""

    def __init__(self, client: Client, account: Account, tokens: Tokens, say: Say, keyring: Keyring) -> None:
        self.keyring = keyring
        self._client = client
        self._account = account
        self._tokens = tokens
        self._say = say
        self._renewing = Lock()

    @classmethod
    def begin(cls, client: Client, account: Account, say: Say, keyring: Keyring | None = None) -> "Session":
        """Sign in; raises Refused when the account is not let in."""
        answer = insist(lambda: client.request("POST", "/api/auth/login", asdict(account)), say)
        say(f"Signed in as {account.email}.")
        return cls(client, account, Tokens.of(answer.body), say, keyring or Keyring())

    def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request as this account, with fresh tokens if the present ones are no longer taken."""
        token = self.token()
        answer = self._send(method, path, body, headers, token)
        return answer if answer.status != 401 else self._send(method, path, body, headers, self._renew(token))

    def open(self, path: str, headers: Mapping[str, str] | None = None) -> Opened:
        """Ask as this account for what does not end; raises Refused and NoAnswer."""
        opened = self._client.open(path, {"Authorization": f"Bearer {self.token()}", **(headers or {})})
        if opened.response.status != 200:
            list(opened.lines())
            raise Refused(Answer(opened.response.status, None))
        return opened

    def insist(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The body of the answer, when it is a yes; limits and short outages are waited out."""
        found: dict[str, Any] = insist(lambda: self.request(method, path, body, headers), self._say).body
        return found

    def request_as(self, device_id: str, method: str, path: str, body: object = None) -> Answer:
        """Send a request as a device, with another key if its own is no longer taken."""
        key = self.keyring.get(device_id)
        answer = self._send(method, path, body, None, key) if key else None
        if answer is not None and answer.status != 401:
            return answer
        key = self._new_key(device_id, lambda *request: checked(self.request(*request)).body)
        self.keyring.add({device_id: key})
        return self._send(method, path, body, None, key)

    def new_key(self, device_id: str) -> str:
        """A new key of a device; limits and short outages are waited out."""
        return self._new_key(device_id, self.insist)

    def _new_key(self, device_id: str, ask: Callable[[str, str], dict[str, Any]]) -> str:
        path = f"/api/devices/{device_id}/keys"
        try:
            made = ask("POST", path)
        except Refused as refusal:
            if refusal.answer.status != 409:
                raise
            # It has all it may have, made by runs whose files are lost: the one out of use for longest goes.
            idlest = min(ask("GET", path)["items"], key=lambda key: key["lastUsedAt"] or key["createdAt"])
            self.request("DELETE", f"{path}/{idlest['id']}")
            made = ask("POST", path)
        key: str = made["key"]
        return key

    def _send(self, method: str, path: str, body: object, headers: Mapping[str, str] | None, token: str) -> Answer:
        bearer = {"Authorization": f"Bearer {token}"}
        return self._client.request(method, path, body, {**bearer, **(headers or {})})

    def token(self) -> str:
        """An access token that still serves for a while."""
        tokens = self._tokens
        return self._renew(tokens.access) if time.monotonic() >= tokens.renew_at else tokens.access

    def _renew(self, stale: str) -> str:
        """The access token after `stale`: a refresh token serves once, so one thread refreshes for all."""
        with self._renewing:
            if self._tokens.access == stale:
                self._tokens = self._renewed()
            return self._tokens.access

    def _renewed(self) -> Tokens:
        answer = self._client.request("POST", "/api/auth/refresh", {"refreshToken": self._tokens.refresh})
        if answer.status == 401:
            answer = self._client.request("POST", "/api/auth/login", asdict(self._account))
        if answer.status in {401, 403, 423}:
            raise SignInLost(f"{self._account.email} is no longer let in: {answer.reason}")
        return Tokens.of(checked(answer).body)


def enter(client: Client, given: Account | None, accounts: Accounts, keyring: Keyring, say: Say) -> Session:
    """A session of the account that was given, else of the demo account of this server, made if need be."""
    account = given or accounts.get(client.url) or _sign_up(client, accounts, say)
    try:
        return Session.begin(client, account, say, keyring)
    except Refused as refusal:
        if given or refusal.answer.status != 401:
            raise
    say(f"{account.email} is not known at {client.url} any more.")
    keyring.clear()
    return Session.begin(client, _sign_up(client, accounts, say), say, keyring)


def _sign_up(client: Client, accounts: Accounts, say: Say) -> Account:
    account = Account(f"demo-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(12))
    body = {"name": "Demo Operator", "organizationName": "Simulated fleet", **asdict(account)}
    insist(lambda: client.request("POST", "/api/auth/signup", body), say)
    accounts.keep(client.url, account)
    say(f"Signed up a demo account: {account.email}, password {account.password} (kept in {accounts.path}).")
    return account
