"""What can be wrong with a password, a token, a session or a key.

Unauthenticated
├── InvalidCredentials
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


class InvalidToken(Unauthenticated):
    code = "INVALID_TOKEN"
    title = "Invalid token"
    detail = "This is no access token or key of ours."


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
