"""The files of the live page; `make test-browser` looks at what they do."""

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
from flask.testing import FlaskClient

from devicehub.live import routes
from tests.web.refusals import refused


def test_anybody_gets_the_page_and_it_may_do_nothing_but_run_its_own_files(client: FlaskClient) -> None:
    page = client.get("/live", buffered=True)
    assert page.mimetype == "text/html"
    policy = dict(rule.split(" ", 1) for rule in page.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy["script-src"], policy["style-src"], policy["connect-src"]} == {"'self'"}
    assert not re.search(r"<style|<script>|\son\w+=|\sstyle=", page.text)


def test_every_file_the_page_names_is_there_and_asked_for_again_after_an_upgrade(client: FlaskClient) -> None:
    named = set(re.findall(r'(?:href|src)="(live/[^"]+)"', client.get("/live", buffered=True).text))
    for path in Path(routes.__file__).parent.glob("static/*.js"):
        named |= {urljoin("live/", name) for name in re.findall(r'from "(\./[^"]+)"', path.read_text())}
    assert {"live/main.js", "live/vendor/uPlot.esm.js", "live/words.js"} < named
    for name in named:
        found = client.get(f"/{name}", buffered=True)
        assert found.mimetype == ("text/css" if name.endswith(".css") else "text/javascript")
        assert found.headers["Cache-Control"] == "no-cache"
        again = client.get(f"/{name}", headers={"If-None-Match": found.headers["ETag"]})
        assert again.status_code == 304


@pytest.mark.parametrize("name", ["routes.py", "../routes.py", "..%2froutes.py", "/etc/passwd", "vendor"])
def test_nothing_else_is_given_away(client: FlaskClient, name: str) -> None:
    refused(client.get(f"/live/{name}"), 404, "NOT_FOUND")
