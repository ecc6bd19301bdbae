"""Signing up, signing in, staying in, signing out."""

from typing import Any

from flask import Blueprint as FlaskBlueprint
from flask import Response, render_template, request
from flask.views import MethodView

from devicehub.auth import api_keys, email_change, errors, schemas, sessions
from devicehub.auth import service as auth
from devicehub.core import config, crypto
from devicehub.core.errors import Busy, Unauthenticated
from devicehub.organizations import service as organizations
from devicehub.organizations.errors import InvitationNotFound, TooMany
from devicehub.users.service import UserNotFound
from devicehub.web import identity
from devicehub.web.blueprint import Blueprint
from devicehub.web.pagination import take_page
from devicehub.web.responses import json_response
from devicehub.web.schemas import PageQuerySchema

blp = Blueprint("auth", __name__, url_prefix="/api/auth", description="Accounts, sessions and tokens.")
pages = FlaskBlueprint("account_pages", __name__, template_folder="pages")

_PAGE_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blp.route("/signup")
class SignUp(MethodView):
    @blp.public(limit="auth")
    @blp.arguments(schemas.SignUpSchema)
    @blp.response(201, schemas.SignedUpSchema)
    @blp.raises(errors.EmailAlreadyExists, errors.RoleNotYours, errors.UnfitPassword, Busy)
    @blp.raises(InvitationNotFound, TooMany)
    def post(self, account: dict[str, Any]) -> dict[str, Any]:
        """Make an account and its organization

        With the token of an invitation to its address it joins that organization instead.
        """
        made = auth.sign_up(**account)
        return {"user": made.user, "organization": organizations.describe(made.organization, made.role)}


@blp.route("/login")
class LogIn(MethodView):
    @blp.public(limit="auth")
    @blp.arguments(schemas.LogInSchema)
    @blp.response(200, schemas.TokensSchema)
    @blp.raises(errors.InvalidCredentials, Busy)
    def post(self, credentials: dict[str, Any]) -> dict[str, Any]:
        """Open a session"""
        ip, user_agent = _place()
        return _tokens(auth.log_in(**credentials, ip=ip, user_agent=user_agent))


@blp.route("/refresh")
class Refresh(MethodView):
    @blp.public(limit="refresh")
    @blp.arguments(schemas.RefreshSchema)
    @blp.response(200, schemas.TokensSchema)
    @blp.raises(errors.InvalidRefreshToken, errors.RefreshTokenReused, errors.NotAMember)
    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Exchange a refresh token for a new pair

        The same token again, within 10 seconds and from the same browser, gives the same successor; any older
        one ends the session.
        """
        ip, user_agent = _place()
        return _tokens(sessions.rotate(body["refresh_token"], ip=ip, user_agent=user_agent))


@blp.route("/logout")
class LogOut(MethodView):
    @blp.public()
    @blp.doc(security=[{"accessToken": []}, {}])
    @blp.arguments(schemas.LogOutSchema, required=False)
    @blp.response(204)
    @blp.raises(Unauthenticated, errors.InvalidRefreshToken)
    def post(self, body: dict[str, Any]) -> None:
        """End this session

        A refresh token of it suffices; doing it again is fine.
        """
        if token := body.get("refresh_token"):
            sessions.end_by_token(token)
            return
        try:
            actor = identity.current_actor()
        except errors.TokenRevoked:
            return
        if actor.session_id:
            sessions.end(actor.session_id)


@blp.route("/logout-all")
class LogOutAll(MethodView):
    @blp.guard()
    @blp.response(200, schemas.RevokedSchema)
    def post(self) -> dict[str, int]:
        """End every session of one's own"""
        return {"revoked_sessions": auth.log_out_everywhere(identity.current_actor())}


@blp.route("/revoke")
class Revoke(MethodView):
    @blp.guard()
    @blp.arguments(schemas.RevokeSchema)
    @blp.response(204)
    def post(self, body: dict[str, Any]) -> None:
        """End one token of one's own (RFC 7009)

        The answer is the same whatever the token was.
        """
        actor, token = identity.current_actor(), body["token"]
        if token.startswith(f"{sessions.PREFIX}."):
            sessions.revoke_own(actor, token)
            return
        try:
            claims = identity.decode(token, accept_expired=True)
        except errors.InvalidToken:
            return
        if claims["sub"] == actor.user_id:
            sessions.revoke_token(claims["sid"], claims["jti"])


@blp.route("/api-keys")
class ApiKeys(MethodView):
    @blp.guard()
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(200, schemas.ApiKeyListSchema)
    def get(self, query: dict[str, Any]) -> Any:
        """List one's own API keys

        Those of the active organization that have not been revoked, newest first, without their secrets.
        """
        page = take_page(query)
        found, total = api_keys.find(identity.current_actor(), page)
        items = schemas.ApiKeySchema(many=True).dump(found)
        return json_response({"items": items, "pagination": page.describe(total)})

    @blp.guard()
    @blp.arguments(schemas.NewApiKeySchema)
    @blp.response(201, schemas.MadeApiKeySchema)
    @blp.raises(errors.TooManyKeys, Busy)
    def post(self, fields: dict[str, Any]) -> Any:
        """Make an API key

        `key` is told this once. An integration sends it as `X-API-Key: dhk_...`. It acts for its owner in the
        active organization, within its scopes and never above the role that its owner has there at that moment.
        """
        made, text = api_keys.create(identity.current_actor(), **fields)
        return json_response(schemas.ApiKeySchema().dump(made) | {"key": text}, 201)


@blp.route("/api-keys/<id:api_key_id>")
class ApiKeyById(MethodView):
    @blp.guard()
    @blp.arguments(schemas.ApiKeyPatchSchema, required=False)
    @blp.response(200, schemas.ApiKeySchema)
    @blp.raises(errors.ApiKeyNotFound, Busy)
    def patch(self, changes: dict[str, Any], api_key_id: str) -> Any:
        """Change an API key

        What it may do, or whether it is switched on, from this moment on.
        """
        return api_keys.update(identity.current_actor(), api_key_id, changes)

    @blp.guard()
    @blp.response(204)
    @blp.raises(errors.ApiKeyNotFound, Busy)
    def delete(self, api_key_id: str) -> None:
        """Revoke an API key

        It is refused from this moment on.
        """
        api_keys.revoke(identity.current_actor(), api_key_id)


@blp.route("/email/change")
class EmailChange(MethodView):
    @blp.guard(limit="auth")
    @blp.arguments(schemas.EmailChangeSchema)
    @blp.response(202, schemas.EmailChangeAskedSchema)
    @blp.raises(errors.InvalidCredentials, errors.TooManyEmailChanges, UserNotFound, Busy)
    def post(self, wish: dict[str, Any]) -> dict[str, int]:
        """Ask for another e-mail address

        A link is mailed to the new address. Nothing changes until it is confirmed; the answer is the same whether
        or not the address has an account.
        """
        email_change.ask(identity.current_actor(), **wish)
        return {"expires_in": int(email_change.LIFE.total_seconds())}


@blp.route("/email/confirm")
class EmailConfirmation(MethodView):
    @blp.public(limit="auth")
    @blp.arguments(schemas.EmailTokenSchema)
    @blp.response(200, schemas.EmailChangedSchema)
    @blp.raises(errors.InvalidEmailToken, errors.EmailAlreadyExists)
    def post(self, body: dict[str, Any]) -> dict[str, str]:
        """Confirm one's new e-mail address

        The mailed token suffices; the address before is told. Sessions go on.
        """
        return {"email": email_change.confirm(body["token"], ip=request.remote_addr)}


@pages.get("/confirm-email", strict_slashes=True)  # its address of the API is relative
def confirm_email() -> Response:
    nonce = crypto.random_token(16)
    response = Response(render_template("confirm_email.html", nonce=nonce))
    response.headers["Content-Security-Policy"] = _PAGE_POLICY.format(nonce=nonce)
    response.headers["Cache-Control"] = "no-store"
    return response


def _place() -> tuple[str | None, str]:
    return request.remote_addr, request.headers.get("User-Agent", "")[:300]


def _tokens(grant: sessions.Grant) -> dict[str, Any]:
    settings = config.current()
    return {
        "access_token": identity.mint(grant),
        "refresh_token": grant.refresh_token,
        "token_type": "Bearer",
        "expires_in": settings.access_token_ttl,
        "refresh_expires_in": settings.refresh_token_ttl,
        **auth.describe_grant(grant),
    }
