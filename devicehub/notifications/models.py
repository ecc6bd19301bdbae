"""What people were told, one document for each of them; and when they are told of a device that is offline."""

from typing import Any, ClassVar

from mongoengine import DateTimeField, DictField, IntField, ListField, ObjectIdField, StringField

from devicehub.core.documents import Document, TenantQuerySet
from devicehub.users.models import IN_APP_FIXED, IN_APP_KINDS

KINDS = (*IN_APP_FIXED, *IN_APP_KINDS)


class Box(Document):
    """The notifications of a user, by the user's id, newest first.

    They lie in one document, so that adding one, dropping what is too much, and refusing what was added before are
    one atomic update. `heard` are the keys of what was added last, whether or not it is still there.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "notifications"}

    items = ListField(DictField())
    heard = ListField(StringField())
    last_at = DateTimeField()


class Rule(Document):
    """When to tell of a device that is offline: of an organization, or of a device, by the id of either."""

    meta: ClassVar[dict[str, Any]] = {"collection": "notification_rules", "queryset_class": TenantQuerySet}

    organization_id = ObjectIdField(required=True)
    grace_s = IntField()
    quiet = DictField()
