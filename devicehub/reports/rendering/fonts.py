"""The fonts of a PDF: Noto Sans, with Latin, Greek and Cyrillic letters, and Helvetica Bold for our own words.

A letter that Noto Sans does not have is replaced by the sign that says so: nothing is left out or put otherwise.
"""

from functools import cache
from importlib.resources import as_file, files

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

TEXT, STRONG = "NotoSans", "Helvetica-Bold"
_ELLIPSIS, _UNKNOWN = "\N{HORIZONTAL ELLIPSIS}", "\N{REPLACEMENT CHARACTER}"


@cache
def register() -> frozenset[int]:
    """Make `TEXT` known, once a process; returns the characters it has."""
    with as_file(files("fontpkg_noto_sans") / "files" / "NotoSans[wdth,wght].ttf") as path:
        font = TTFont(TEXT, str(path))
    pdfmetrics.registerFont(font)
    return frozenset(font.face.charToGlyph)


def legible(text: str) -> str:
    """`text` on one line, in characters that can be drawn."""
    known = register()
    return "".join(one if ord(one) in known else _UNKNOWN for one in " ".join(text.split()))


def width_of(text: str, size: float, font: str = TEXT) -> float:
    """How many points wide a text is."""
    width: float = pdfmetrics.stringWidth(text, font, size)
    return width


def fitted(text: str, width: float, size: float, font: str = TEXT) -> str:
    """`text` on one line, legible, and cut with an ellipsis where it is wider than `width` points."""
    text = legible(text)
    if width_of(text, size, font) <= width:
        return text
    low, high = 0, len(text)
    while low < high:  # the most letters for which there is room
        middle = (low + high + 1) // 2
        fits = width_of(text[:middle] + _ELLIPSIS, size, font) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip() + _ELLIPSIS
