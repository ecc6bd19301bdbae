"""Our Blueprint: its guard demands an identity and writes what it demands into the OpenAPI document."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from flask import request
from flask_smorest import Blueprint as SmorestBlueprint

from devicehub.core.actor import Actor, Role, Scope
from devicehub.core.errors import DeviceHubError, InvalidInput
from devicehub.devices.errors import DeviceNotFound
from devicehub.web import identity, openapi
from devicehub.web.guards import Guard, LimitClass
from devicehub.web.parsing import Parser

View = Callable[..., Any]


class Blueprint(SmorestBlueprint):
    """flask-smorest's Blueprint with `guard`, `public` and `raises`, and our strict parser."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(openapi.document)

    def register_views_in_doc(self, *args: Any, **kwargs: Any) -> None:
        """Leave it until the document is read; called by flask-smorest for each blueprint."""
        openapi.tell_later(partial(super().register_views_in_doc, *args, **kwargs))

    @staticmethod
    def guard(
        role: Role = "viewer",
        *,
        limit: LimitClass = "general",
        scope: Scope | None = None,
        devices: bool = False,
        platform_admin: bool = False,
        token_in_query: bool = False,
        in_path: bool = False,
    ) -> Callable[[View], View]:
        """Let only callers with `role` or above through; outermost, so a stranger gets 401 before 422.

        An API key needs the `scope`, without which none is let in. With `devices` a device's own key is let in,
        for that device. With `in_path` the role is asked for in the organization that the path names: the current
        actor is bound to it from there on, and the view is spared its id.
        """
        guard = Guard(role, limit, scope, devices, platform_admin, token_in_query, in_path)

        def decorate(view: View) -> View:
            view = _strict(view)

            @wraps(view)
            def guarded(*args: Any, **kwargs: Any) -> Any:
                actor = identity.current_actor()
                guard.accept(actor)
                if in_path:
                    actor = identity.act_in(kwargs.pop("organization_id"))
                guard.admit(actor)
                _keep_to_itself(actor)
                return view(*args, **kwargs)

            return openapi.note(guarded, guard=guard)

        return decorate

    @staticmethod
    def public(*, limit: LimitClass = "general") -> Callable[[View], View]:
        """Say that anyone may call this view."""
        guard = Guard(None, limit)
        return lambda view: openapi.note(view if limit == "none" else _strict(view), guard=guard)

    @staticmethod
    def raises(*errors: type[DeviceHubError]) -> Callable[[View], View]:
        """Document errors that are this view's own, beyond what its guard, path and body imply."""
        return lambda view: openapi.note(view, errors=errors)

    @staticmethod
    def takes(*parameters: dict[str, Any]) -> Callable[[View], View]:
        """Document parameters that the view reads by itself."""
        return lambda view: openapi.note(view, parameters=parameters)


def _keep_to_itself(actor: Actor) -> None:
    """Every other device than itself is unknown to a device; what a body names, the service judges."""
    device_id = str((request.view_args or {}).get("device_id", actor.device_id))
    if actor.kind == "device" and device_id.lower() != actor.device_id:
        raise DeviceNotFound(device_id=device_id)


def _strict(view: View) -> View:
    """A view that takes no query refuses one, as those that take one refuse what they do not know of it."""
    parameters = getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", ())
    if any(parameter["in"] == "query" for parameter in parameters):
        return view

    @wraps(view)
    def strict(*args: Any, **kwargs: Any) -> Any:
        if request.args:
            raise InvalidInput(errors={name: ["Unknown field."] for name in sorted(request.args.keys())})
        return view(*args, **kwargs)

    return strict
