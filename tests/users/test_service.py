"""What access tokens are worth when rights change."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.users import service as users
from tests.factories import let_redis_remember, make_account
from tests.web.refusals import refused

PROFILE = "/api/users/profile"


@pytest.mark.actor()
def test_outdated_tokens_are_stale_at_once_and_a_refresh_goes_on(client: FlaskClient, account: Any) -> None:
    let_redis_remember(account)
    users.outdate_tokens([account.actor.user_id])
    refused(client.get(PROFILE), 401, "TOKEN_STALE")
    body = {"refreshToken": account.refresh_token}
    renewed = client.post("/api/auth/refresh", json=body, headers={"User-Agent": "tests"}).json
    fresh = {"Authorization": f"Bearer {renewed['accessToken']}"}
    assert client.get(PROFILE, headers=fresh).status_code == 200


@pytest.mark.actor()
def test_nobody_elses_are(client: FlaskClient) -> None:
    users.outdate_tokens([make_account().actor.user_id])
    users.outdate_tokens([])
    assert client.get(PROFILE).status_code == 200


@pytest.mark.actor()
def test_who_is_only_forgotten_goes_on_with_the_same_token(client: FlaskClient, account: Any) -> None:
    let_redis_remember(account)
    users.forget([account.actor.user_id])
    assert client.get(PROFILE).status_code == 200
