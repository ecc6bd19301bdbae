"""The console for platform admins: the way in and out. What is to be seen there is in `dashboard_routes`."""

from flask import Blueprint as FlaskBlueprint
from flask import Response

from devicehub.audit import service as audit
from devicehub.console import passes
from devicehub.console.dashboard_routes import ADMINS, COOKIE, dashboard
from devicehub.web import cookies, identity

pages = FlaskBlueprint("console", __name__, url_prefix="/rq", template_folder="pages")
# After these, so that our templates are found before those of the same name that it brings.
pages.record(lambda setup: setup.app.register_blueprint(dashboard))


@pages.post("/session")
def open_console() -> Response:
    """Exchange the access token of a platform admin for a cookie that opens the console."""
    actor = identity.current_actor()
    ADMINS.accept(actor)
    ADMINS.admit(actor)
    cookies.refuse_foreign()
    claims = identity.decode(identity.presented() or "")
    cookies.keep(COOKIE, passes.issue(claims), path="/rq", max_age=int(passes.LIFE.total_seconds()))
    audit.record(actor, "console.opened", target=claims["sid"])
    return Response(status=204)


@pages.delete("/session")
def leave_console() -> Response:
    """Let the browser forget the cookie, whatever it is still worth."""
    cookies.refuse_foreign()
    cookies.keep(COOKIE, "", path="/rq", max_age=0)
    return Response(status=204)
