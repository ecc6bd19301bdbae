"""Another password: by the present one, or by a code that was mailed."""

from typing import Any

from flask.views import MethodView

from devicehub.auth import credentials, errors, resets, schemas
from devicehub.auth.sessions import Grant
from devicehub.core.errors import Busy, Forbidden, Unavailable
from devicehub.web import identity, tokens
from devicehub.web.blueprint import Blueprint

blp = Blueprint("passwords", __name__, url_prefix="/api/auth/password", description="Changed and lost passwords.")


@blp.route("/change")
class ChangePassword(MethodView):
    @blp.guard(limit="auth")
    @blp.arguments(schemas.PasswordChangeSchema)
    @blp.response(200, schemas.SignedInSchema, headers=tokens.SET_COOKIE)
    @tokens.granted
    @blp.raises(
        errors.InvalidCredentials,
        errors.AccountLocked,
        errors.UnfitPassword,
        errors.PasswordReused,
        Forbidden,
        Busy,
    )
    def post(self, body: dict[str, Any]) -> Grant:
        """Change one's password

        This session goes on with a new pair of tokens; all others end, and of the known devices all but this one
        are no longer known.
        """
        user_agent = tokens.place()["user_agent"]
        return credentials.change(identity.current_actor(), **body, user_agent=user_agent)


@blp.route("/forgot")
class ForgetPassword(MethodView):
    @blp.public(limit="auth")
    @blp.arguments(schemas.ForgottenSchema)
    @blp.response(202, schemas.ChallengeSchema)
    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Ask for a code to set another password with

        The code is mailed to the address, if there is an account of it; the answer is the same in any case. The
        newest code counts; there are at most three an hour.
        """
        return {"challenge_id": resets.begin(body["email"]), "expires_in": int(resets.LIFE.total_seconds())}


@blp.route("/verify-otp")
class VerifyOtp(MethodView):
    @blp.public(limit="auth")
    @blp.arguments(schemas.OtpSchema)
    @blp.response(200, schemas.ResetTokenSchema)
    @blp.raises(errors.InvalidOtp, Unavailable)
    def post(self, body: dict[str, Any]) -> dict[str, str]:
        """Exchange a mailed code for a reset token

        It may be tried five times. A reset token is good once, for ten minutes.
        """
        return {"reset_token": resets.verify(body["challenge_id"], body["otp"])}


@blp.route("/reset")
class ResetPassword(MethodView):
    @blp.public(limit="auth")
    @blp.arguments(schemas.PasswordResetSchema)
    @blp.response(204)
    @blp.raises(errors.InvalidResetToken, errors.UnfitPassword, errors.PasswordReused, errors.NotAMember, Busy)
    def post(self, body: dict[str, Any]) -> None:
        """Set another password with a reset token

        Every session ends. A password that is refused does not use the token up.
        """
        credentials.reset(**body, ip=tokens.place()["ip"])
