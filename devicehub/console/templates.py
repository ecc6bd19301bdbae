"""Underscore's templates, compiled here: in the browser that would take `eval`, which our policy does not allow.

    <% statement %>   <%= value %>   <%- value %>

Both kinds of values are escaped, but for those that have been (`.html()`). Styles of single elements go, too; what
they are for is in `base.html`. And tables may break their heads where they are short of room.
"""

import json
import re

from markupsafe import Markup

_TEMPLATE = re.compile(r'<script name="([\w-]+)" type="text/template">(.*?)</script>', re.S)
_TAG = re.compile(r"<%([=-]?)(.+?)%>", re.S)
_STYLE = re.compile(r' style="[^"]*"')


def compiled(content: str, nonce: str) -> Markup:
    """The content of a page, with a function in the place of each template; `templates` has them by name."""

    def compile_one(match: re.Match[str]) -> str:
        name, text = match.groups()
        if "<%" not in text:
            return match[0]
        return (
            f'<script name="{name}" type="text/template">{name}</script>'
            f'<script nonce="{nonce}">(window.templates ??= {{}})["{name}"] = {function(text)};</script>'
        )

    content = _STYLE.sub("", content).replace("&nbsp;", " ")
    return Markup(_TEMPLATE.sub(compile_one, content))  # noqa: S704 - it was markup, and has no values


def function(text: str) -> str:
    """A template as a function in JavaScript."""
    steps, end = [], 0
    for tag in _TAG.finditer(text):
        kind, code = tag.groups()
        steps += [_say(text[end : tag.start()]), _show(code.strip()) if kind else code]
        end = tag.end()
    return "\n".join(["function (data) {", 'let said = "";', "with (data) {", *steps, _say(text[end:]), "}",
                      "return said;", "}"])  # fmt: skip


def _say(text: str) -> str:
    literal = json.dumps(text).replace("</", "<\\/")  # or the page's own script would end there
    return f"said += {literal};"


def _show(code: str) -> str:
    return f"said += {code if code.endswith('.html()') else f'shown({code})'};"
