"""`/dev/mail`: what was mailed, for whoever develops to read; in production there is no such page."""

from flask import Blueprint as FlaskBlueprint
from flask import Response, render_template, url_for

from devicehub.core import config, crypto
from devicehub.core.errors import NotFound
from devicehub.mail import service as mail

pages = FlaskBlueprint("dev_mail", __name__, url_prefix="/dev/mail", template_folder="pages")

_PAGE_POLICY = (
    "default-src 'none'; img-src data:; style-src 'nonce-{nonce}'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A mail may look like something, and its links lead out of here; it may do nothing.
_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; sandbox allow-popups allow-popups-to-escape-sandbox; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


@pages.before_request
def _in_development_only() -> None:
    if not config.current().is_development:
        raise NotFound()


@pages.get("")
def outbox() -> Response:
    return _page("outbox.html", mails=mail.find_last())


@pages.get("/<mail_id>")
def one_mail(mail_id: str) -> Response:
    return _page("mail.html", mail=mail.get(mail_id), html=url_for(".as_html", mail_id=mail_id))


@pages.get("/<mail_id>/html")
def as_html(mail_id: str) -> Response:
    found = mail.get(mail_id)
    if not found.rendered:
        raise mail.MailNotFound(mail_id=mail_id)
    response = Response(found.rendered["html"], content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = _MAIL_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    response.headers["Cache-Control"] = "no-store"
    return response


def _page(template: str, **what: object) -> Response:
    nonce = crypto.random_token(16)
    response = Response(render_template(template, nonce=nonce, **what))
    response.headers["Content-Security-Policy"] = _PAGE_POLICY.format(nonce=nonce)
    response.headers["Cache-Control"] = "no-store"
    return response
