"""Bodies of many lines, NDJSON and CSV (RFC 4180): each line is read by itself, and may be wrong by itself."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, NamedTuple

from flask import Request, request

from devicehub.core.errors import InvalidInput, MalformedRequest, UnsupportedMediaType
from devicehub.web import openapi
from devicehub.web.parsing import parse_json, whole_body

LONGEST_LINE = 24 << 10
NDJSON, CSV = "application/x-ndjson", "text/csv"

_BOM = b"\xef\xbb\xbf"
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,16}", re.ASCII)

# How a cell is read; what does not look like what it should be stays text, and the schema says so.
Columns = Mapping[str, Callable[[str], Any]]
View = Callable[..., Any]


class Line(NamedTuple):
    """One line by its number, from 1: what it says, or why it could not be read."""

    number: int
    value: Any
    errors: Mapping[str, Any] | None = None


def accepted(columns: Columns, example: Mapping[str, str]) -> Callable[[View], View]:
    """Give a view the lines of the body as `lines`; above `idempotency`, which needs the body whole.

    `example` is one body of each of the two kinds.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def reading(*args: Any, **kwargs: Any) -> Any:
            return view(*args, lines=_lines(request, columns), **kwargs)

        content = {kind: {"schema": {"type": "string", "example": text}} for kind, text in example.items()}
        noted: View = openapi.note(reading, body={"required": True, "content": content})
        return noted

    return decorate


def _lines(req: Request, columns: Columns) -> Iterator[Line]:
    if req.mimetype not in (NDJSON, CSV):
        raise UnsupportedMediaType(reason=f"Send the body as {NDJSON} or {CSV}.")
    body = whole_body(req)
    return of_ndjson(body) if req.mimetype == NDJSON else of_csv(body, columns)


def of_ndjson(body: bytes) -> Iterator[Line]:
    """A JSON value a line; empty lines are none."""
    for number, line in enumerate(io.BytesIO(body.removeprefix(_BOM)), 1):
        if text := line.strip():
            yield _parsed(number, text)


def _parsed(number: int, text: bytes) -> Line:
    if len(text) > LONGEST_LINE:
        return _too_long(number)
    try:
        return Line(number, parse_json(text))
    except MalformedRequest:
        why = "Not JSON in UTF-8, or nested too deep, or with a number beyond 64 bits."
        return Line(number, None, {"_schema": [why]})


def _too_long(number: int) -> Line:
    return Line(number, None, {"_schema": [f"Longer than {LONGEST_LINE} bytes."]})


def of_csv(body: bytes, columns: Columns) -> Iterator[Line]:
    """An object a line, of its cells that are not empty; raises MalformedRequest, or InvalidInput."""
    try:
        text = body.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        raise MalformedRequest(reason="The body is not UTF-8.") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins = 1
    try:
        header = next(rows, [])
        _refuse_header(header, columns)
        begins = rows.line_num + 1
        for cells in rows:
            if cells:
                yield _row(begins, header, cells, columns)
            begins = rows.line_num + 1
    except csv.Error as error:
        raise MalformedRequest(reason=f"Line {begins} is not CSV: {error}.") from error


def _refuse_header(header: list[str], columns: Columns) -> None:
    if not header:
        raise InvalidInput(errors={"header": ["The first line has to name the columns."]})
    wrong = {name[:100]: ["Unknown column."] for name in header if name not in columns}
    wrong |= {name: ["Given twice."] for name in header if name in columns and header.count(name) > 1}
    if wrong:
        raise InvalidInput(errors=dict(list(wrong.items())[:100]))


def _row(number: int, header: list[str], cells: list[str], columns: Columns) -> Line:
    if len(cells) != len(header):
        return Line(number, None, {"_schema": [f"{len(cells)} cells, where the header has {len(header)}."]})
    if sum(map(len, cells)) > LONGEST_LINE:
        return _too_long(number)
    return Line(number, {name: columns[name](cell) for name, cell in zip(header, cells, strict=True) if cell})


def number(cell: str) -> Any:
    """A number as people write it."""
    return float(cell) if _NUMBER.fullmatch(cell) else cell


def whole(cell: str) -> Any:
    """A whole number."""
    return int(cell) if _WHOLE.fullmatch(cell) else cell


def json_object(cell: str) -> Any:
    """A JSON object within a cell."""
    try:
        return parse_json(cell.encode())
    except MalformedRequest:
        return cell
