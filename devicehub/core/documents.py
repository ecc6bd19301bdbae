"""What every document shares: no index is made behind the migrations' back, and the caller comes first."""

from typing import Any, ClassVar

from bson import ObjectId
from mongoengine import Document as MongoEngineDocument
from mongoengine import QuerySet
from mongoengine.queryset import transform

from devicehub.core.actor import Actor


class Document(MongoEngineDocument):
    """The base of every document; collections and indexes are made by `migrations_indexes/` only."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True, "auto_create_index": False, "strict": False}


def seen_by(actor: Actor, document: type[MongoEngineDocument]) -> dict[str, Any]:
    """What `visible_to` chooses, as MongoDB takes it: for queries past MongoEngine, which take a fraction."""
    chosen: dict[str, Any] = transform.query(document, **document._meta["queryset_class"].conditions(actor))
    return chosen


class TenantQuerySet(QuerySet):
    """The query set of documents that belong to an organization."""

    @staticmethod
    def conditions(actor: Actor) -> dict[str, Any]:
        """What `actor` may know of. A device knows of nothing, unless said so."""
        if actor.kind == "device":
            return {"id__in": []}
        return {"organization_id": ObjectId(actor.organization_id)}

    def visible_to(self, actor: Actor) -> Any:
        """What `actor` may know of; the only way to begin a query."""
        return self.filter(**self.conditions(actor))
