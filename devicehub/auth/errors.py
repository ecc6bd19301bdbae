"""What can be wrong with a password, a token, a session or a key.

Unauthenticated
├── InvalidCredentials
├── InvalidOtp, InvalidResetToken                             of one who has lost the password
├── InvalidToken, TokenExpired, TokenRevoked, TokenStale      of an access token
├── KeyRevoked, KeyInactive, KeyExpired                       of a key
├── InvalidRefreshToken, RefreshTokenReused                   of a refresh token
└── InvalidEmailToken                                         of a link that was mailed
"""

from devicehub.core.errors import Conflict, DeviceHubError, Forbidden, InvalidInput, NotFound, Unauthenticated


class InvalidCredentials(Unauthenticated):
    code = "INVALID_CREDENTIALS"
    title = "Invalid credentials"
    detail = "The e-mail address and the password do not go together."


class AccountLocked(DeviceHubError):
    status = 423
    code = "ACCOUNT_LOCKED"
    title = "Account locked"
    detail = "Too many wrong passwords for this address; `Retry-After` says when to try again from here."

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})


class InvalidOtp(Unauthenticated):
    code = "INVALID_OTP"
    title = "Invalid one-time code"
    detail = "This is not the code, or it is used up or too old; `attemptsRemaining` says how often to try yet."

    def __init__(self, *, attempts_remaining: int) -> None:
        super().__init__(extensions={"attemptsRemaining": attempts_remaining})


class InvalidToken(Unauthenticated):
    code = "INVALID_TOKEN"
    title = "Invalid token"
    detail = "This is no access token or key of ours."


class InvalidResetToken(InvalidToken):
    detail = "This is not a reset token that is still good; ask for a new code."


class TokenExpired(Unauthenticated):
    code = "TOKEN_EXPIRED"
    title = "Token expired"
    detail = "The access token's time is over; refresh it."


class TokenRevoked(Unauthenticated):
    code = "TOKEN_REVOKED"
    title = "Token revoked"
    detail = "The session of this token has ended; sign in again."


class TokenStale(Unauthenticated):
    code = "TOKEN_STALE"
    title = "Token stale"
    detail = "Your rights have changed since this token was made; refresh it and go on."


class KeyRevoked(TokenRevoked):
    detail = "This key has been revoked, or what it belonged to is no more."


class KeyInactive(TokenRevoked):
    detail = "This key is switched off."


class KeyExpired(TokenExpired):
    detail = "This key's time is over; make another."


class InvalidRefreshToken(Unauthenticated):
    code = "INVALID_REFRESH_TOKEN"
    title = "Invalid refresh token"
    detail = "This is not a refresh token of a live session; sign in again."


class RefreshTokenReused(Unauthenticated):
    code = "REFRESH_TOKEN_REUSED"
    title = "Refresh token reused"
    detail = "This refresh token was used before, so somebody may have stolen it: its session has been ended."


class SessionNotFound(NotFound):
    code = "SESSION_NOT_FOUND"
    title = "Session not found"
    detail = "No live session {session_id} of yours."


class InvalidEmailToken(Unauthenticated):
    code = "INVALID_EMAIL_TOKEN"
    title = "Invalid e-mail token"
    detail = "This link has been used or has lapsed, or a newer one was sent; ask for the change again."


class NotAMember(Forbidden):
    code = "NOT_A_MEMBER"
    title = "Not a member"
    detail = "This account belongs to no organization."


class RoleNotYours(Forbidden):
    title = "Forbidden"
    detail = "A sign-up cannot choose its role."


class ApiKeyNotFound(NotFound):
    code = "API_KEY_NOT_FOUND"
    title = "API key not found"
    detail = "No API key {key_id} of yours in this organization."


class TooManyKeys(Conflict):
    detail = "There are {most} live keys already; revoke one first."


class EmailAlreadyExists(Conflict):
    code = "EMAIL_ALREADY_EXISTS"
    title = "E-mail already exists"
    detail = "An account with this e-mail address exists already."


class TooManyEmailChanges(DeviceHubError):
    status = 429
    code = "AUTH_RATE_LIMIT_EXCEEDED"
    title = "Rate limit exceeded"
    detail = "You have asked for another address too often; `Retry-After` says when to come back."


class UnfitPassword(InvalidInput):
    """The password is against the rules; `errors` says which."""


class PasswordReused(InvalidInput):
    code = "PASSWORD_REUSED"
    title = "Password reused"
    detail = "This is the present password or the one before it; choose another."

    def __init__(self) -> None:
        super().__init__(errors={"newPassword": ["You have used this password before."]})
