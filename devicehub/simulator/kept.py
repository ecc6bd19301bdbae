"""What a run keeps for the next one, by server: the account it made, and the keys of its devices."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any


class PrivateFile:
    """A JSON object in a file that only its owner may read; one that is spoilt is as good as none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, content: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(content, indent=2))
        draft.replace(self.path)


@dataclass(frozen=True)
class Account:
    email: str
    password: str


class Accounts:
    """The demo accounts made so far, one for each server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = PrivateFile(path)

    def get(self, url: str) -> Account | None:
        return self._known().get(url)

    def keep(self, url: str, account: Account) -> None:
        known = self._known() | {url: account}
        self._file.write({url: asdict(account) for url, account in known.items()})

    def _known(self) -> dict[str, Account]:
        try:
            return {url: Account(**known) for url, known in self._file.read().items()}
        except TypeError:
            return {}


class Keyring:
    """The keys of a server's devices, as far as this machine was told them; without a file for one run only."""

    def __init__(self, path: Path | None = None, url: str = "") -> None:
        self._file, self._url = PrivateFile(path) if path else None, url
        self._lock = Lock()
        known = self._file.read().get(url) if self._file else None
        self._keys: dict[str, str] = known if isinstance(known, dict) else {}

    def get(self, device_id: str) -> str | None:
        return self._keys.get(device_id)

    def add(self, keys: Mapping[str, str]) -> None:
        with self._lock:
            self._keys |= keys
            self._keep()

    def clear(self) -> None:
        """Forget them all: the server has."""
        with self._lock:
            self._keys = {}
            self._keep()

    def _keep(self) -> None:
        if self._file is not None:
            self._file.write(self._file.read() | {self._url: self._keys})
