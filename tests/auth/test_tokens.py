"""Access tokens: exactly ours, in exactly one place; and dead everywhere once they are."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jwt
import pytest
from flask.testing import FlaskClient

from devicehub.core.config import Settings
from tests.conftest import LiveServer
from tests.factories import make_account
from tests.web.refusals import refused

PROFILE = "/api/users/profile"

# Its servers are started once, in one of the parallel workers.
pytestmark = pytest.mark.xdist_group("tokens")


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: Any, claims: Any, key: str) -> str:
    """A token made by hand, so that no library refuses to make it."""
    content = f"{segment(header)}.{segment(claims)}"
    mac = hmac.new(key.encode(), content.encode(), hashlib.sha256).digest()
    return f"{content}.{segment(mac)}"


@pytest.fixture
def ours() -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a token of ours."""
    token = make_account().access_token
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


@pytest.fixture
def ask(client: FlaskClient) -> Callable[[str], Any]:
    """Ask for the profile with a token."""
    return lambda token: client.get(PROFILE, headers={"Authorization": f"Bearer {token}"})


def test_a_token_made_by_hand_of_the_right_parts_is_taken(ask: Any, ours: Any, settings: Settings) -> None:
    """Or the refusals below would prove nothing."""
    header, claims = ours
    assert ask(signed(header, claims, settings.jwt_secret)).status_code == 200
    assert header == {"alg": "HS256", "typ": "at+jwt", "kid": header["kid"]}
    assert {name: type(claims[name]) for name in ("sub", "sid", "org")} == {"sub": str, "sid": str, "org": str}
    assert claims["aud"] == "devicehub-api" and claims["exp"] - claims["iat"] == 900


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"kid": "unknown"}, {}),
        ({"kid": ""}, {}),
        ({"kid": None}, {}),
        ({"kid": ["x"]}, {}),
        ({"kid": {"x": 1}}, {}),
        ({"kid": "../../dev/null"}, {}),
        ({"alg": "none"}, {}),
        ({"alg": "HS384"}, {}),
        ({"alg": "RS256"}, {}),
        ({"alg": "PS256"}, {}),
        ({"alg": "ES256"}, {}),
        ({"alg": None}, {}),
        ({"alg": ["HS256"]}, {}),
        ({"typ": "JWT"}, {}),
        ({"typ": None}, {}),
        ({"crit": ["b64"], "b64": False}, {}),
        ({}, {"aud": "another-api"}),
        ({}, {"aud": None}),
        ({}, {"iss": "somebody else"}),
        ({}, {"iss": None}),
        ({}, {"sub": 1}),
        ({}, {"sub": None}),
        ({}, {"sid": None}),
        ({}, {"jti": None}),
        ({}, {"org": None}),
        ({}, {"tv": None}),
        ({}, {"exp": None}),
        ({}, {"exp": "soon"}),
        ({}, {"iat": "x"}),
        ({}, {"nbf": 4_000_000_000}),
    ],
    ids=str,
)
def test_a_token_that_differs_in_one_part_is_none_of_ours(
    ask: Any, ours: Any, settings: Settings, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    parts = [
        {k: v for k, v in (part | change).items() if v is not None}
        for part, change in zip(ours, (header, claims), strict=True)
    ]
    refused(ask(signed(*parts, settings.jwt_secret)), 401, "INVALID_TOKEN")


@pytest.mark.parametrize("kid", ["", "unknown", None])
def test_a_key_we_do_not_know_is_not_the_empty_key(ask: Any, ours: Any, kid: str | None) -> None:
    header, claims = ours
    refused(ask(signed(header | {"kid": kid}, claims, "")), 401, "INVALID_TOKEN")


@pytest.mark.parametrize("key", ["jwt_refresh_secret", "jwt_issuer"])
def test_another_secret_of_ours_signs_no_access_token(ask: Any, ours: Any, settings: Settings, key: str) -> None:
    refused(ask(signed(*ours, getattr(settings, key))), 401, "INVALID_TOKEN")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE"])
def test_a_token_without_a_signature_is_none_of_ours(ask: Any, ours: Any, algorithm: str) -> None:
    header, claims = ours
    refused(ask(f"{segment(header | {'alg': algorithm})}.{segment(claims)}."), 401, "INVALID_TOKEN")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "....",
        "\xff.\xff.\xff",
        "e30.e30.",
        "W10.W10.W10",
        "bnVsbA.bnVsbA.x",
        "x" * 5000,
    ],
    ids=lambda token: token[:20],
)
def test_what_is_no_token_at_all_is_refused_like_one_that_is_not_ours(ask: Any, token: str) -> None:
    refused(ask(token), 401, "INVALID_TOKEN")


def test_a_changed_letter_anywhere_spoils_a_token(ask: Any) -> None:
    token = make_account().access_token
    for place in range(0, len(token) - 1, 7):
        other = "A" if token[place] != "A" else "B"
        answer = ask(token[:place] + other + token[place + 1 :])
        assert (answer.status_code, answer.json["code"]) == (401, "INVALID_TOKEN"), place


def test_a_token_of_nobodys_session_is_revoked_and_one_of_anothers_is_not_ours(
    ask: Any, ours: Any, settings: Settings
) -> None:
    header, claims = ours
    gone = signed(header, claims | {"sid": "65f0a1b2c3d4e5f6a7b8c9d2"}, settings.jwt_secret)
    refused(ask(gone), 401, "TOKEN_REVOKED")
    other = jwt.decode(make_account().access_token, options={"verify_signature": False})
    mixed = signed(header, claims | {"sid": other["sid"]}, settings.jwt_secret)
    refused(ask(mixed), 401, "INVALID_TOKEN")


@pytest.mark.parametrize("odd", ["x", "", "{'$gt': ''}", "65f0a1b2c3d4e5f6a7b8c9dg"])
@pytest.mark.parametrize("claim", ["sid", "sub", "org"])
def test_an_id_that_can_be_none_is_no_servers_error(
    ask: Any, ours: Any, settings: Settings, claim: str, odd: str
) -> None:
    header, claims = ours
    refused(ask(signed(header, claims | {claim: odd}, settings.jwt_secret)), 401)


def test_an_organization_one_is_not_in_makes_a_token_stale(ask: Any, ours: Any, settings: Settings) -> None:
    header, claims = ours
    foreign = make_account().actor.organization_id
    refused(ask(signed(header, claims | {"org": foreign}, settings.jwt_secret)), 401, "TOKEN_STALE")


def test_the_role_in_a_token_decides_nothing(client: FlaskClient, settings: Settings) -> None:
    token = make_account(role="viewer").access_token
    header, claims = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    forged = signed(header, claims | {"role": "owner"}, settings.jwt_secret)
    answer = client.post("/api/devices", json={}, headers={"Authorization": f"Bearer {forged}"})
    refused(answer, 403, "INSUFFICIENT_ROLE")


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Bearer:", "", "JWT"])
def test_only_bearer_is_read(client: FlaskClient, scheme: str) -> None:
    token = make_account().access_token
    refused(client.get(PROFILE, headers={"Authorization": f"{scheme} {token}"}), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.parametrize("sent", ["Bearer", "Bearer ", "Bearer    "])
def test_bearer_of_nothing_is_nobody(client: FlaskClient, sent: str) -> None:
    refused(client.get(PROFILE, headers={"Authorization": sent}), 401, "AUTHENTICATION_REQUIRED")


def test_the_scheme_may_be_spelled_in_any_case(client: FlaskClient) -> None:
    token = make_account().access_token
    assert client.get(PROFILE, headers={"Authorization": f"bEARER {token}"}).status_code == 200


@pytest.mark.parametrize("place", ["query", "cookie", "form", "X-Access-Token"])
def test_a_token_elsewhere_is_none(client: FlaskClient, place: str) -> None:
    token = make_account().access_token
    if place == "cookie":
        client.set_cookie("access_token", token)
        client.set_cookie("access_token_cookie", token)
    asked = {"query": {"query_string": {"token": token}}, "X-Access-Token": {"headers": {place: token}}}
    refused(client.get(PROFILE, **asked.get(place, {})), 401, "AUTHENTICATION_REQUIRED")


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30, limits=httpx.Limits(max_connections=None)) as client:
        yield client


@pytest.fixture(scope="module")
def rotated(serve: Callable[..., LiveServer], settings: Settings) -> LiveServer:
    """A process that has been given a new key, and the one of the others as the previous."""
    return serve(JWT_SECRET="k" + settings.jwt_secret[::-1], JWT_SECRET_PREVIOUS=settings.jwt_secret)


@pytest.mark.usefixtures("app")
def test_of_two_headers_none_is_believed(live_server: LiveServer, http: httpx.Client) -> None:
    one, other = make_account().access_token, make_account().access_token
    for first, second in ((one, other), (one, one), (one, "x")):
        headers = [("Authorization", f"Bearer {first}"), ("Authorization", f"Bearer {second}")]
        refused(http.get(live_server.url + PROFILE, headers=headers), 401, "INVALID_TOKEN")


@pytest.mark.usefixtures("app")
def test_the_previous_key_still_opens_and_no_longer_signs(rotated: LiveServer, http: httpx.Client) -> None:
    ada = make_account()
    assert http.get(rotated.url + PROFILE, headers=ada.headers).status_code == 200
    body, browser = {"refreshToken": ada.refresh_token}, {"User-Agent": "tests"}
    renewed = http.post(f"{rotated.url}/api/auth/refresh", json=body, headers=browser).json()
    headers = [jwt.get_unverified_header(token) for token in (ada.access_token, renewed["accessToken"])]
    assert headers[0]["kid"] != headers[1]["kid"]
    fresh = {"Authorization": f"Bearer {renewed['accessToken']}"}
    assert http.get(rotated.url + PROFILE, headers=fresh).status_code == 200


def test_a_session_that_ends_in_one_process_has_ended_in_all(
    live_server: LiveServer, rotated: LiveServer, http: httpx.Client, client: FlaskClient
) -> None:
    ada = make_account()
    for server in (live_server, rotated):  # both know it well by now
        assert http.get(server.url + PROFILE, headers=ada.headers).status_code == 200
    assert http.post(f"{live_server.url}/api/auth/logout", headers=ada.headers).status_code == 204
    for server in (rotated, live_server):
        refused(http.get(server.url + PROFILE, headers=ada.headers), 401, "TOKEN_REVOKED")
        answer = http.post(f"{server.url}/api/auth/refresh", json={"refreshToken": ada.refresh_token})
        refused(answer, 401, "INVALID_REFRESH_TOKEN")
    refused(client.get(PROFILE, headers=ada.headers), 401, "TOKEN_REVOKED")
