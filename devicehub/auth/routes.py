"""Signing up, signing in, staying in, signing out."""

from contextlib import suppress
from typing import Any

from flask import Blueprint as FlaskBlueprint
from flask import Response, render_template, request
from flask.views import MethodView

from devicehub.auth import (
    api_keys,
    email_change,
    errors,
    password_routes,
    refresh_tokens,
    revocation,
    schemas,
    sessions,
)
from devicehub.auth import service as auth
from devicehub.auth.sessions import Grant
from devicehub.core import crypto
from devicehub.core.errors import Busy, Forbidden, Unauthenticated
from devicehub.organizations import service as organizations
from devicehub.organizations.errors import InvitationNotFound, OrganizationNotFound, TooMany
from devicehub.users.service import UserNotFound
from devicehub.web import cookies, identity, tokens
from devicehub.web.blueprint import Blueprint
from devicehub.web.pagination import take_page
from devicehub.web.responses import json_response
from devicehub.web.schemas import PageQuerySchema

blp = Blueprint("auth", __name__, url_prefix="/api/auth", description="Accounts, sessions and tokens.")
blueprints = (blp, password_routes.blp)
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
    @blp.response(200, schemas.SignedInSchema, headers=tokens.SET_COOKIE)
    @tokens.granted
    @blp.raises(errors.InvalidCredentials, errors.AccountLocked, errors.NotAMember, Busy)
    def post(self, credentials: dict[str, Any]) -> Grant:
        """Open a session

        Five wrong passwords for an address within 15 minutes lock it for who sends them, for a minute and longer
        with each further one; known devices, and people elsewhere, still get in.
        """
        return auth.log_in(**credentials, **tokens.place())


@blp.route("/refresh")
class Refresh(MethodView):
    @blp.public(limit="refresh")
    @blp.doc(security=[{"refreshCookie": []}, {}])
    @blp.arguments(schemas.RefreshSchema, required=False)
    @blp.response(200, schemas.TokensSchema, headers=tokens.SET_COOKIE)
    @tokens.granted
    @blp.raises(errors.InvalidRefreshToken, errors.RefreshTokenReused, errors.NotAMember, cookies.ForeignOrigin)
    def post(self, body: dict[str, Any]) -> Grant:
        """Exchange a refresh token for a new pair

        The same token again, within 10 seconds and from the same browser, gives the same successor; any older
        one ends the session. A browser may leave the body out, and send its cookie from an allowed `Origin`.
        """
        token = cookies.presented(body)
        if token is None:
            raise errors.InvalidRefreshToken()
        return sessions.rotate(token, **tokens.place())


@blp.route("/switch-organization")
class SwitchOrganization(MethodView):
    @blp.guard()
    @blp.arguments(schemas.SwitchSchema)
    @blp.response(200, schemas.TokensSchema, headers=tokens.SET_COOKIE)
    @tokens.granted
    @blp.raises(Forbidden, OrganizationNotFound)
    def post(self, body: dict[str, Any]) -> Grant:
        """Make another of one's organizations the active one of this session

        The session goes on with a new pair of tokens, as after a refresh, and stays in that organization. Access
        tokens of before speak for the organization they were made for until they end.
        """
        return sessions.switch(identity.current_actor(), **body, **tokens.place())


@blp.route("/logout")
class LogOut(MethodView):
    @blp.public()
    @blp.doc(security=[{"accessToken": []}, {"refreshCookie": []}, {}])
    @blp.arguments(schemas.LogOutSchema, required=False)
    @blp.response(204)
    @blp.raises(Unauthenticated, errors.InvalidRefreshToken, cookies.ForeignOrigin)
    def post(self, body: dict[str, Any]) -> None:
        """End this session

        A refresh token of it suffices, also a browser's cookie, which is dropped; doing it again is fine.
        """
        token = cookies.presented(body)
        if token is None:
            _log_out_by_identity()
        else:
            _log_out_by_token(token)
        cookies.drop()


def _log_out_by_identity() -> None:
    with suppress(errors.TokenRevoked):  # it has ended before
        actor = identity.current_actor()
        if actor.session_id:
            revocation.end(actor.session_id)


def _log_out_by_token(token: str) -> None:
    try:
        revocation.end_by_token(token)
    except errors.InvalidRefreshToken:
        if not cookies.came_by_cookie():
            raise
        if identity.known_actor() is not None:  # an old cookie, but somebody who is signed in
            _log_out_by_identity()


@blp.route("/logout-all")
class LogOutAll(MethodView):
    @blp.guard()
    @blp.response(200, schemas.RevokedSchema)
    def post(self) -> dict[str, int]:
        """End every session of one's own"""
        return {"revoked_sessions": auth.log_out_everywhere(identity.current_actor())}


@blp.route("/sessions")
class Sessions(MethodView):
    @blp.guard()
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(200, schemas.SessionListSchema)
    def get(self, query: dict[str, Any]) -> Response:
        """List one's live sessions, the one used last first"""
        return json_response(sessions.find(identity.current_actor(), take_page(query)))


@blp.route("/sessions/<id:session_id>")
class SessionById(MethodView):
    @blp.guard()
    @blp.response(204)
    @blp.raises(errors.SessionNotFound)
    def delete(self, session_id: str) -> None:
        """End one of one's sessions

        Its tokens are dead at once; what was connected with them is told so.
        """
        revocation.end_own(identity.current_actor(), session_id)


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
        if refresh_tokens.is_one(token):
            revocation.revoke_own(actor, token)
            return
        try:
            claims = identity.decode(token, accept_expired=True)
        except errors.InvalidToken:
            return
        if claims["sub"] == actor.user_id:
            revocation.revoke_token(actor, claims["sid"], claims["jti"])


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
    @blp.raises(errors.InvalidCredentials, errors.AccountLocked, errors.TooManyEmailChanges, UserNotFound, Busy)
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
