"""How requests are read: strictly. One parser for every route, set on our Blueprint."""

from typing import Any, ClassVar, NoReturn

import flask
import marshmallow as ma
import orjson
from marshmallow import ValidationError
from webargs.core import missing
from webargs.flaskparser import FlaskParser

from devicehub.core.errors import InvalidInput, MalformedRequest, UnsupportedMediaType
from devicehub.web.fields import NUMBERS_END

DEEPEST = 32


def parse_json(body: bytes) -> Any:
    """The JSON value `body` spells; raises MalformedRequest, also for what no store of ours could keep."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(reason="The body is not valid JSON in UTF-8.") from error
    _refuse_extremes(value)
    return value


def _refuse_extremes(value: Any) -> None:
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise MalformedRequest(reason=f"The body is nested deeper than {DEEPEST} levels.")
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
            elif not _is_storable(item):
                raise MalformedRequest(reason="The body has a number that is too large.")
        level, depth = inner, depth + 1


def _is_storable(item: Any) -> bool:
    """Whether it is no number beyond 64 bits, however that is spelled: JSON does not tell 1 from 1.0."""
    return not isinstance(item, int | float) or abs(item) < NUMBERS_END


def whole_body(req: flask.Request) -> bytes:
    """The body, or what werkzeug raises for one that is too large.

    Of one that comes in chunks werkzeug gives what is within the limit, and says so only to who reads on.
    """
    body = req.get_data(cache=True)
    if req.content_length is None:
        req.stream.read(1)
    return body


class Parser(FlaskParser):
    """webargs, but it refuses unknown query keys, other content types, and JSON it could not survive."""

    DEFAULT_UNKNOWN_BY_LOCATION: ClassVar[dict[str, str | None]] = {
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": ma.RAISE,
    }

    def use_args(self, argmap: Any, *args: Any, **kwargs: Any) -> Any:
        """As webargs, but with one schema for all requests: to make one takes longer than to use it."""
        return super().use_args(argmap() if isinstance(argmap, type) else argmap, *args, **kwargs)

    def load_json(self, req: flask.Request, schema: ma.Schema) -> Any:
        body = whole_body(req)
        if not req.is_json:
            if body or req.mimetype:
                raise UnsupportedMediaType(reason="Send the body as application/json.")
            return missing
        return parse_json(body) if body else missing

    def handle_error(self, error: ValidationError, req: flask.Request, schema: ma.Schema, **_: Any) -> NoReturn:
        [messages] = error.messages_dict.values()  # webargs puts them under the place they came from
        raise InvalidInput(errors=messages) from error
