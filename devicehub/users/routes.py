"""The profile of whoever asks."""

from datetime import datetime
from typing import Any

import orjson
from flask import Response
from flask.views import MethodView

from devicehub.users import service as users
from devicehub.users.schemas import (
    PreferencesPatchSchema,
    PreferencesSchema,
    ProfilePatchSchema,
    ProfileSchema,
    UserSchema,
)
from devicehub.web import conditional
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor

blp = Blueprint("users", __name__, url_prefix="/api/users", description="People and their profiles.")


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
    @blp.arguments(PreferencesSchema)
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
