"""What is written for people says what the code says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devicehub import __version__
from devicehub.core.config import Settings
from tests.conftest import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
README = (ROOT / "README.md").read_text()


def in_readme() -> dict[str, str]:
    """The settings of the README's table with their defaults; a dash is none."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`|\u2013) \|", README, re.M)
    return dict(rows)


def in_example() -> dict[str, str]:
    """The settings of `.env.example` with their defaults, all of them turned off."""
    return dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M))


@pytest.mark.parametrize("written", [in_readme, in_example])
def test_every_setting_is_written_down_with_its_default(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = written()
    assert set(settings) == {name.upper() for name in Settings.model_fields}
    for name, text in settings.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("APP_ENV", "development")  # the true default refuses to start without secrets
    read = Settings(_env_file=None).model_dump()  # type: ignore[call-arg]
    defaults = {name: field.get_default() for name, field in Settings.model_fields.items()}
    assert read == defaults | {"app_env": "development"}
    assert settings["APP_ENV"] == defaults["app_env"]


def test_a_fresh_copy_of_the_example_changes_nothing() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_the_changelog_tells_of_this_version() -> None:
    versions = re.findall(r"^## ([\d.]+) - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert versions[0] == __version__


def links(page: Path) -> Iterator[str]:
    """Where a page leads to inside the project."""
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" not in target:
            yield target


def anchors(page: Path) -> set[str]:
    """The headings of a page, as they are linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        is_there = target.is_relative_to(ROOT) and target.exists()
        if not is_there or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_links_are_found_at_all() -> None:
    assert [*links(ROOT / "README.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_pages_name_exist(page: Path) -> None:
    """`core/cache.py` may be short for `devicehub/core/cache.py`."""
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w-]+\.(?:py|md|conf|yml|txt))`", page.read_text()))
    gone = [
        name
        for name in sorted(named)
        if not (ROOT / name).exists() and not (ROOT / "devicehub" / name).exists() and "NNNN" not in name
    ]
    assert gone == []


def test_nothing_leads_out_of_the_project() -> None:
    """No path of one machine, in what is tracked and read by people."""
    files = [*PAGES, *ROOT.glob("*.yml"), *ROOT.glob(".*.yaml"), ROOT / "Dockerfile", ROOT / "Makefile"]
    files += [ROOT / ".env.example", ROOT / "docs/architecture.svg", *(ROOT / ".github").rglob("*.yml")]
    out = re.compile(r"(?<![\w.~/-])/(?:root|home|work|Users)/|(?:\.\./){2,}")
    assert [file.name for file in files if out.search(file.read_text())] == []


def test_every_error_code_of_the_document_is_in_the_api_page(client: Any) -> None:
    document = client.get("/openapi.json").json
    codes = set(document["components"]["examples"])
    assert codes
    table = (ROOT / "docs/api.md").read_text()
    assert sorted(code for code in codes if f"`{code}`" not in table) == []
