"""Underscore's templates as functions: what a browser would have made of them with `eval`."""

from devicehub.console import templates


def test_text_stays_and_values_are_escaped_once() -> None:
    made = templates.function("""<td title="<%- d.a %>"><%= d.b %> <%= $('<div/>').text(d.c).html() %></td>""")
    assert made.splitlines()[3:-3] == [
        r'said += "<td title=\"";',
        "said += shown(d.a);",
        r'said += "\">";',
        "said += shown(d.b);",
        'said += " ";',
        "said += $('<div/>').text(d.c).html();",
        r'said += "<\/td>";',
    ]


def test_statements_stand_where_they_stood() -> None:
    made = templates.function("<% if (d.a) { %>yes<% } %>")
    assert [line.strip() for line in made.splitlines()[3:-3] if line != 'said += "";'] == [
        "if (d.a) {", 'said += "yes";', "}"
    ]  # fmt: skip


def test_what_is_no_template_is_left_alone_but_for_styles() -> None:
    page = '<p style="float: right">x</p><script name="none" type="text/template"><b>No jobs.</b></script>'
    assert templates.compiled(page, "n") == page.replace(' style="float: right"', "")
