"""The colours of the live page (`live.css`), for what is drawn on white."""

from collections.abc import Sequence

INK, FAINT, LINE, BAND = "#1f2933", "#5b6770", "#e1e5e8", "#f3f5f6"
BRAND, PALE = "#0b6e63", "#9aa7af"

# Neighbours differ in lightness too, for eyes that do not tell these hues apart.
_SLICES = ("#0b6e63", "#c27803", "#2f6f9f", "#8a949c", "#c0291c", "#5cc9bb", "#7a5195", "#e1b45a")
_MEANING = {
    "online": "#15803d",
    "late": "#c27803",
    "offline": "#c0291c",
    "never_seen": "#8a949c",
}


def of_slices(labels: Sequence[str]) -> list[str]:
    """A colour for each slice of a pie; what has one on the live page has the same here."""
    return [_MEANING.get(label, _SLICES[place % len(_SLICES)]) for place, label in enumerate(labels)]
