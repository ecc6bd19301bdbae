"""The profile of whoever asks, and for platform admins everybody's."""

from datetime import datetime
from typing import Any

import orjson
from flask import Response
from flask.views import MethodView

from devicehub.users import service as users
from devicehub.users.schemas import (
    PreferencesPatchSchema,
    PreferencesPutSchema,
    PreferencesSchema,
    ProfilePatchSchema,
    ProfileSchema,
    UserListSchema,
    UserQuerySchema,
    UserSchema,
)
from devicehub.web import conditional
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor
from devicehub.web.pagination import take_page
from devicehub.web.responses import json_response

blp = Blueprint("users", __name__, url_prefix="/api/users", description="People and their profiles.")


@blp.route("")
class Users(MethodView):
    @blp.guard(platform_admin=True)
    @blp.arguments(UserQuerySchema, location="query")
    @blp.response(200, UserListSchema)
    def get(self, query: dict[str, Any]) -> Any:
        """List all accounts

        For platform admins, whom `devicehub create-admin` makes.
        """
        page = take_page(query)
        return json_response(users.find(query, page))


@blp.route("/users")
class UsersAgain(MethodView):
    """The same under another name that clients know it by."""

    get = blp.doc(operationId="getUsersAgain", summary="List all accounts (as `/api/users`)")(Users.get)


@blp.route("/profile")
class Profile(MethodView):
    @blp.guard()
    @conditional.documented
    @blp.response(200, UserSchema)
    def get(self) -> Response:
        """Read one's own profile"""
        found = users.profile(current_actor(), fresh=conditional.wants_fresh())
        modified_at = datetime.fromisoformat(orjson.loads(found.payload)["updatedAt"])
        return conditional.answer(found, modified_at=modified_at)

    @blp.guard()
    @blp.arguments(ProfileSchema)
    @blp.response(200, UserSchema)
    @blp.raises(users.UserNotFound)
    def put(self, profile: dict[str, Any]) -> dict[str, Any]:
        """Replace one's own profile"""
        return users.update_profile(current_actor(), profile)

    @blp.guard()
    @blp.arguments(ProfilePatchSchema, required=False)
    @blp.response(200, UserSchema)
    @blp.raises(users.UserNotFound)
    def patch(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Change one's own profile"""
        return users.update_profile(current_actor(), changes)


@blp.route("/preferences")
class Preferences(MethodView):
    @blp.guard()
    @blp.response(200, PreferencesSchema)
    def get(self) -> dict[str, Any]:
        """Read what one wants to be told of"""
        return users.preferences(current_actor())

    @blp.guard()
    @blp.arguments(PreferencesPutSchema)
    @blp.response(200, PreferencesSchema)
    def put(self, preferences: dict[str, Any]) -> dict[str, Any]:
        """Replace what one wants to be told of"""
        return users.update_preferences(current_actor(), preferences)

    @blp.guard()
    @blp.arguments(PreferencesPatchSchema, required=False)
    @blp.response(200, PreferencesSchema)
    def patch(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Change what one wants to be told of"""
        return users.update_preferences(current_actor(), changes)
