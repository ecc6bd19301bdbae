"""Who the simulator is: signing in, staying signed in, and the demo accounts it remembers."""

import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from devicehub.simulator.client import Answer, Client, Refused, Say, checked, insist

RENEWED_AFTER = 0.9


class SignInLost(Exception):
    """The session has ended and its account is no longer let in."""


@dataclass(frozen=True)
class Account:
    email: str
    password: str


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

    def __init__(self, client: Client, account: Account, tokens: Tokens, say: Say) -> None:
        self._client = client
        self._account = account
        self._tokens = tokens
        self._say = say
        self._renewing = Lock()

    @classmethod
    def begin(cls, client: Client, account: Account, say: Say) -> "Session":
        """Sign in; raises Refused when the account is not let in."""
        answer = insist(lambda: client.request("POST", "/api/auth/login", asdict(account)), say)
        say(f"Signed in as {account.email}.")
        return cls(client, account, Tokens.of(answer.body), say)

    def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request as this account, with fresh tokens if the present ones are no longer taken."""
        token = self._token()
        answer = self._send(method, path, body, headers, token)
        return answer if answer.status != 401 else self._send(method, path, body, headers, self._renew(token))

    def insist(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The body of the answer, when it is a yes; limits and short outages are waited out."""
        found: dict[str, Any] = insist(lambda: self.request(method, path, body, headers), self._say).body
        return found

    def _send(self, method: str, path: str, body: object, headers: Mapping[str, str] | None, token: str) -> Answer:
        bearer = {"Authorization": f"Bearer {token}"}
        return self._client.request(method, path, body, {**bearer, **(headers or {})})

    def _token(self) -> str:
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


class Accounts:
    """The demo accounts made so far, one for each server, in a file only its owner may read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, url: str) -> Account | None:
        return self._read().get(url)

    def keep(self, url: str, account: Account) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        known = {**self._read(), url: account}
        draft.write_text(json.dumps({url: asdict(account) for url, account in known.items()}, indent=2))
        draft.replace(self.path)

    def _read(self) -> dict[str, Account]:
        try:
            return {url: Account(**known) for url, known in json.loads(self.path.read_text()).items()}
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return {}


def enter(client: Client, given: Account | None, accounts: Accounts, say: Say) -> Session:
    """A session of the account that was given, else of the demo account of this server, made if need be."""
    account = given or accounts.get(client.url) or _sign_up(client, accounts, say)
    try:
        return Session.begin(client, account, say)
    except Refused as refusal:
        if given or refusal.answer.status != 401:
            raise
    say(f"{account.email} is not known at {client.url} any more.")
    return Session.begin(client, _sign_up(client, accounts, say), say)


def _sign_up(client: Client, accounts: Accounts, say: Say) -> Account:
    account = Account(f"demo-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(12))
    body = {"name": "Demo Operator", "organizationName": "Simulated fleet", **asdict(account)}
    insist(lambda: client.request("POST", "/api/auth/signup", body), say)
    accounts.keep(client.url, account)
    say(f"Signed up a demo account: {account.email}, password {account.password} (kept in {accounts.path}).")
    return account
