"""Who is asking: found once per request, before the limiter; only a guard turns a stranger away.

Access tokens are JWTs (RFC 9068's `at+jwt`): exactly HS256, a key chosen by `kid` from a fixed map, our issuer
and audience. Their role and organization are hints; what decides is the stored session and membership. Keys, of
devices and of integrations, are found by their id.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import jwt as pyjwt
from flask import Flask, current_app, g, request
from flask_jwt_extended import create_access_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException

from devicehub.auth import api_keys, sessions, standing
from devicehub.auth.errors import InvalidToken, TokenExpired
from devicehub.core import clock, config, crypto
from devicehub.core.actor import Actor, Role
from devicehub.core.errors import DeviceHubError, Unauthenticated, Unavailable
from devicehub.devices import keys as device_keys
from devicehub.extensions import jwt
from devicehub.organizations import service as organizations
from devicehub.realtime import tickets
from devicehub.web import errors
from devicehub.web.guards import Guard, guard_of_request

AUDIENCE = "devicehub-api"
LEEWAY_S = 5
LONGEST_TOKEN = 4096
API_KEY_HEADER = "X-API-Key"
MOST_VERIFIED = 4096  # tokens that are not verified again, some 1.5 kB each
_VERIFIED = "devicehub.verified_tokens"
_REQUIRED = ("sub", "sid", "jti", "tv", "org", "iat", "nbf", "exp")


def init_app(app: Flask) -> None:
    """Bind Flask-JWT-Extended: it signs and verifies; the clock that judges times is ours (tests move it)."""
    settings = config.current()
    keys = {_kid(key): key for key in (settings.jwt_secret, settings.jwt_secret_previous) if key}
    app.config |= {
        "JWT_SECRET_KEY": settings.jwt_secret,
        "JWT_ALGORITHM": "HS256",
        "JWT_TOKEN_LOCATION": ["headers"],
        "JWT_DECODE_ALGORITHMS": ["HS256"],
        "JWT_ENCODE_ISSUER": settings.jwt_issuer,
        "JWT_DECODE_ISSUER": settings.jwt_issuer,
        "JWT_ENCODE_AUDIENCE": AUDIENCE,
        "JWT_DECODE_AUDIENCE": AUDIENCE,
        "JWT_DECODE_LEEWAY": timedelta(days=36_500),
    }
    jwt.init_app(app)
    jwt.decode_key_loader(lambda header, _: keys.get(header.get("kid", ""), ""))
    # A token comes with many requests, and what was signed stays signed. Whether it is good now is asked each
    # time.
    app.extensions[_VERIFIED] = lru_cache(MOST_VERIFIED)(_verify)
    app.before_request(_resolve)


def mint(grant: sessions.Grant) -> str:
    """The access token of a session that was just granted or renewed."""
    settings = config.current()
    issued = int(clock.timestamp())
    claims = {
        "sid": grant.session_id,
        "tv": grant.token_version,
        "org": grant.organization_id,
        "role": grant.role,
        "jti": crypto.random_token(12),
        "iat": issued,
        "nbf": issued,
        "exp": issued + settings.access_token_ttl,
    }
    return create_access_token(
        grant.user_id,
        expires_delta=False,
        additional_claims=claims,
        additional_headers={"typ": "at+jwt", "kid": _kid(settings.jwt_secret)},
    )


def decode(token: str, *, accept_expired: bool = False) -> Mapping[str, Any]:
    """The claims of an access token of ours; raises InvalidToken or TokenExpired."""
    if len(token) > LONGEST_TOKEN:
        raise InvalidToken()
    claims: Mapping[str, Any] = current_app.extensions[_VERIFIED](token)
    moment = clock.timestamp()
    if claims["nbf"] > moment + LEEWAY_S:
        raise InvalidToken()
    if claims["exp"] <= moment - LEEWAY_S and not accept_expired:
        raise TokenExpired()
    return claims


def _verify(token: str) -> Mapping[str, Any]:
    """The claims of a token that is signed as ours are, whenever it may be good; raises InvalidToken."""
    try:
        header = pyjwt.get_unverified_header(token)
        claims: dict[str, Any] = decode_token(token)
    except (pyjwt.PyJWTError, JWTExtendedException, ValueError) as error:
        raise InvalidToken() from error
    if header.get("typ") != "at+jwt" or any(claims.get(name) is None for name in _REQUIRED):
        raise InvalidToken()
    return MappingProxyType(claims)


def authenticate(token: str) -> Actor:
    """The caller that an access token or a key stands for now.

    Raises InvalidToken, TokenExpired, TokenRevoked or TokenStale, and what a database that is away raises.
    """
    if device_keys.KIND.begins(token):
        return device_keys.identify(token)
    if api_keys.KIND.begins(token):
        return api_keys.identify(token)
    return _signed_in(token)


def _signed_in(token: str) -> Actor:
    claims = decode(token)
    return standing.identify(
        user_id=claims["sub"],
        organization_id=claims["org"],
        session_id=claims["sid"],
        token_id=claims["jti"],
        token_version=claims["tv"],
        token_ends_at=datetime.fromtimestamp(claims["exp"], UTC),
    )


def still_valid(actor: Actor) -> None:
    """Ask again whether `actor`'s session or key, and membership, stand; raises as `authenticate` does."""
    if actor.kind == "api_key":
        api_keys.confirm(actor)
    else:
        standing.confirm(actor)


def memberships(actor: Actor) -> Mapping[str, Role]:
    """The organizations that a caller may act in now, with the role; raises as `still_valid` does."""
    return api_keys.present(actor) if actor.kind == "api_key" else standing.present(actor)


def current_actor() -> Actor:
    """The caller of this request; raises what kept it from being known."""
    refusal: DeviceHubError | None = g.get("refusal")
    if refusal is not None:
        raise refusal
    actor: Actor = g.actor
    return actor


def act_in(organization_id: str) -> Actor:
    """Bind the caller of this request to an organization, active or not; raises OrganizationNotFound."""
    actor: Actor = organizations.require(current_actor(), organization_id)
    g.actor = actor
    return actor


def known_actor() -> Actor | None:
    """The caller of this request if known; for the limiter and the log."""
    actor: Actor | None = g.get("actor")
    return actor


def _resolve() -> None:
    guard = guard_of_request()
    try:
        actor = _asking(guard)
        g.actor = replace(actor, request_id=g.request_id, ip=request.remote_addr)
    except Exception as error:
        g.refusal = errors.named(error)
        if isinstance(g.refusal, Unavailable):
            raise g.refusal from error  # whatever follows would wait for the database as long again


def _asking(guard: Guard | None) -> Actor:
    """Only what lives for minutes may stand in an address, which proxies and histories keep: no key."""
    if guard is not None and guard.limit == "none":
        raise Unauthenticated()
    if (token := presented()) is not None:
        return authenticate(token)
    if guard is not None and guard.token_in_query:
        if (ticket := request.args.get("ticket")) is not None:
            return _holder(ticket)
        if (token := request.args.get("token")) is not None:
            return _signed_in(token)
    raise Unauthenticated()


def _holder(ticket: str) -> Actor:
    """Whom a ticket of theirs stands for."""
    actor = tickets.redeem(ticket)
    if actor is None:
        raise InvalidToken()
    still_valid(actor)
    return actor


def presented() -> str | None:
    """The token or key in the headers, of which one may say who asks; raises InvalidToken when both do.

    WSGI makes one of two `Authorization` headers, which is no token of ours.
    """
    key, authorization = request.headers.get(API_KEY_HEADER), request.headers.get("Authorization")
    if key is not None:
        if authorization is not None or not api_keys.KIND.begins(key):
            raise InvalidToken()
        return key
    scheme, _, token = (authorization or "").partition(" ")
    return (token.strip() or None) if scheme.lower() == "bearer" else None


def _kid(key: str) -> str:
    return crypto.mac(key, "kid")[:12]
