"""People at the console's door."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import Account, make_account

SESSION = "/rq/session"
OURS = {"Origin": "http://localhost"}


def enter(browser: FlaskClient, account: Account) -> None:
    """Let a browser in, as the sign-in page does."""
    assert browser.post(SESSION, headers=account.headers | OURS).status_code == 204


@pytest.fixture
def admin(app: Flask) -> Account:
    return make_account(platform_admin=True)


@pytest.fixture
def browser_of(app: Flask) -> Callable[[Account], FlaskClient]:
    """A browser that was let in for somebody; it keeps the cookie, and sends nothing else."""

    def make(account: Account) -> FlaskClient:
        browser = app.test_client()
        enter(browser, account)
        return browser

    return make


@pytest.fixture
def browser(browser_of: Callable[[Account], FlaskClient], admin: Account) -> FlaskClient:
    """The browser of a platform admin who is at the console."""
    return browser_of(admin)
