"""The outbox: one document a mail, from the moment it is owed; and which mails people want."""

from typing import Any, ClassVar

from mongoengine import DateTimeField, DictField, IntField, ObjectIdField, StringField

from devicehub.core.documents import Document

STATUSES = ("pending", "sending", "sent", "failed", "expired")

# What concerns the safety of an account is always mailed; the rest is for its owner to say.
SECURITY_KINDS = ("otp", "password_changed", "new_sign_in", "refresh_reused", "email_change", "email_changed")
OPTIONAL_KINDS = ("invitation", "export_ready", "device_offline", "report")


class Mail(Document):
    """`key` makes it unique: the same news is mailed once.

    `data` may hold a code or a token, and is emptied as soon as nothing is to be sent any more. `rendered` is kept
    in development only, for `/dev/mail`.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "mails"}

    kind = StringField(required=True)
    to = StringField(required=True)
    data = DictField()
    key = StringField(required=True)
    user_id = ObjectIdField()
    status = StringField(choices=STATUSES, required=True)
    attempts = IntField(default=0)
    claimed_until = DateTimeField()
    last_error = StringField()
    rendered = DictField()
    dies_at = DateTimeField()
    sent_at = DateTimeField()
    created_at = DateTimeField(required=True)


class MailPreferences(Document):
    """Which of the optional kinds a user wants, by the user's id; what is not in it is wanted."""

    meta: ClassVar[dict[str, Any]] = {"collection": "mail_preferences"}

    wanted = DictField()
