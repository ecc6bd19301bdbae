"""The outbox: one document a mail, from the moment it is owed."""

from typing import Any, ClassVar

from mongoengine import DateTimeField, DictField, ObjectIdField, StringField

from devicehub.core.documents import Document


class Mail(Document):
    """`key` makes it unique: the same news is mailed once."""

    meta: ClassVar[dict[str, Any]] = {"collection": "mails"}

    kind = StringField(required=True)
    to = StringField(required=True)
    data = DictField()
    key = StringField(required=True)
    user_id = ObjectIdField()
    status = StringField(required=True)
    dies_at = DateTimeField()
    created_at = DateTimeField(required=True)
