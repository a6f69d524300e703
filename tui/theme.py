"""The dark theme. Colour never carries meaning alone: every state has a word and a glyph."""

from textual.theme import Theme

DARK = Theme(
    name="sft-dark",
    primary="#56B4E9",
    secondary="#6CB6FF",
    accent="#56B4E9",
    foreground="#DCE3EA",
    background="#10151B",
    surface="#1A222B",
    panel="#1A222B",
    success="#4CC9A0",
    warning="#F0B429",
    error="#FF6B5E",
    dark=True,
    variables={
        "muted": "#93A1B0",
        "info": "#6CB6FF",
        "mask-trained": "#EAF6FF",
        "mask-trained-background": "#0B4A75",
        "mask-special": "#FFD98A",
        "mask-cut": "#FF9E94",
        "series-a": "#56B4E9",
        "series-b": "#E69F00",
        "footer-key-foreground": "#56B4E9",
    },
)

GLYPHS = {
    "preparing": "◌",
    "running": "▶",
    "evaluating": "▶E",
    "saving": "▶S",
    "pausing": "‖",
    "paused": "‖",
    "stopping": "■",
    "stopped": "■",
    "finished": "✓",
    "failed": "✗",
    "crashed": "✗!",
    "stalled": "?",
    "unknown": "·?",
}

ROLES = {
    "preparing": "$info",
    "running": "$success",
    "evaluating": "$success",
    "saving": "$success",
    "pausing": "$warning",
    "paused": "$warning",
    "stopping": "$muted",
    "stopped": "$muted",
    "finished": "$success",
    "failed": "$error",
    "crashed": "$error",
    "stalled": "$warning",
    "unknown": "$muted",
}


def badge(word: str) -> str:
    """Returns a status as glyph and word in capitals, as every screen writes it."""
    return f"{GLYPHS.get(word, '?')} {word.upper()}"
