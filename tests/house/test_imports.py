"""The house rules of docs/architecture.md, read from the syntax trees."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devicehub.features import FEATURES

ROOT = Path(__file__).parents[2]
SOURCES = [
    *sorted((ROOT / "devicehub").rglob("*.py")),
    *sorted((ROOT / "migrations_indexes").glob("*.py")),
    ROOT / "wsgi.py",
    ROOT / "worker.py",
]
APART = {"embedded", "simulator"}  # programs of their own: the zero-setup run, and a client of any server

# Rows, lowest first: a module may import its own row and those below.
ROWS = (
    "extensions",
    "core",
    "models",
    "schemas",
    "errors",
    "service",
    "web",
    "doors",
    "app",
)
DOORS = {"routes", "sockets", "jobs", "commands"}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def row_of(module: str) -> str:
    """The row a module stands in, by its place and its last name."""
    parts = module.split(".")
    if parts[0] != "devicehub" or len(parts) < 3:
        return "extensions" if module == "devicehub.extensions" else "app"
    if parts[1] == "core":
        return "core"
    if parts[-1] in ("schemas", "fields"):  # also web's, which every feature's schemas begin with
        return "schemas"
    if parts[1] == "web":
        return "web"
    if is_door(parts[-1]):
        return "doors"
    return parts[-1] if parts[-1] in ("models", "errors") else "service"


def is_door(name: str) -> bool:
    """Whether a module is a door, or a part of one under its concept's name: `password_routes`."""
    return name.rpartition("_")[2] in DOORS


def imports(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            module = name if _is_module(name) else name.rpartition(".")[0]
            if module.startswith(("devicehub", "migrations_indexes")):
                yield module


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.fixture(scope="module")
def edges() -> list[tuple[str, str]]:
    """Who imports whom."""
    return [
        (module_of(path), imported)
        for path in SOURCES
        for imported in imports(path)
        if not APART & {*module_of(path).split("."), *imported.split(".")} and imported.count(".") >= 1
    ]


def test_rows_are_imported_downward_only(edges: list[tuple[str, str]]) -> None:
    upward = [f"{a} -> {b}" for a, b in edges if ROWS.index(row_of(a)) < ROWS.index(row_of(b))]
    assert upward == []


def test_a_feature_knows_only_those_ranked_before_it_and_never_their_doors(edges: list[tuple[str, str]]) -> None:
    wrong = []
    for module, imported in edges:
        importer, target = module.split("."), imported.split(".")
        if importer[0] != "devicehub" or importer[1] not in FEATURES or target[1] not in FEATURES:
            continue
        later = FEATURES.index(target[1]) > FEATURES.index(importer[1])
        foreign_door = target[1] != importer[1] and is_door(target[-1])
        if later or foreign_door:
            wrong.append(f"{module} -> {imported}")
    assert wrong == []


def test_every_folder_is_a_feature_or_has_a_place_of_its_own() -> None:
    folders = {path.parent.name for path in (ROOT / "devicehub").glob("*/__init__.py")}
    assert folders == {*FEATURES, "core", "web", *APART}


def test_services_never_see_the_door() -> None:
    """No request, g, session or token of Flask's below `web`."""
    seen = []
    for path in SOURCES:
        if row_of(module_of(path)) not in ("core", "models", "schemas", "errors", "service"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in ("flask", "flask_jwt_extended"):
                hidden = {alias.name for alias in node.names} - {"Flask"}
                seen += [f"{module_of(path)}: {name}" for name in sorted(hidden)]
    assert seen == []


WORKER = """
import sys
import worker
from devicehub.features import doors
list(doors("jobs"))
print(*sys.modules)
"""


def test_a_worker_loads_no_other_door_and_none_of_what_doors_take() -> None:
    """It would take half as much memory again."""
    command = [sys.executable, "-c", WORKER]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    own = [name for name in loaded if name.startswith("devicehub.") and name.count(".") > 1]
    assert [name for name in own if row_of(name) == "doors" and not name.endswith(".jobs")] == []
    assert {"devicehub.extensions", "flask_smorest", "socketio", "engineio", "gevent"} & {*loaded} == set()


@pytest.mark.parametrize("name", ["utils", "helpers", "common"])
def test_no_module_is_named_for_nothing(name: str) -> None:
    assert [path for path in SOURCES if path.stem == name] == []


PROGRAM = """
import importlib, os, socket, sys, threading

class Watched(dict):
    def _look(self, name, *default):
        callers = [sys._getframe(depth).f_code.co_filename for depth in (1, 2)]
        assert not any(caller.startswith(sys.argv[1]) for caller in callers), f"read {name} at import"
        return dict.get(self, name, *default)
    get = _look
    def __getitem__(self, name): return self._look(name) if name in self else dict.__getitem__(self, name)

def refuse(*args, **kwargs):
    raise AssertionError("connected or started a thread at import")

os.environ = Watched(os.environ)
socket.socket.connect = threading.Thread.start = refuse
for name in sys.argv[2:]:
    importlib.import_module(name)
"""
READ_AT_START = {"wsgi", "devicehub.__main__", "devicehub.web.gunicorn"}  # programs and their settings


def test_nothing_connects_reads_the_environment_or_starts_a_thread_at_import() -> None:
    modules = [name for path in SOURCES if (name := module_of(path)) not in READ_AT_START]
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "devicehub"), *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
