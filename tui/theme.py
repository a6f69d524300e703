"""The themes. Colour never carries meaning alone: every state has a word and a glyph."""

from collections.abc import Mapping

from rich.text import Text
from textual.theme import Theme

from ..core.terminal import is_light

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
        "border": "#56B4E9",
        "border-blurred": "#3A6A88",
        "chart-raw": "#3A79A0",
        "chart-ema": "#56B4E9",
        "chart-eval": "#E69F00",
        "chart-c": "#2BF87D",
        "chart-d": "#F130A0",
        "chart-e": "#C662FF",
        "chart-f": "#A27F68",
        "mask-trained": "#EAF6FF",
        "mask-trained-background": "#0B4A75",
        "mask-special": "#FFD98A",
        "mask-cut": "#FF9E94",
        "block-cursor-foreground": "#10151B",
        "block-cursor-background": "#56B4E9",
        "scrollbar": "#3A6A88",
        "scrollbar-background": "#1A222B",
    },
)

LIGHT = Theme(
    name="sft-light",
    primary="#0072B2",
    secondary="#005FA8",
    accent="#0072B2",
    foreground="#1B222B",
    background="#FAFAF7",
    surface="#EFEFEA",
    panel="#EFEFEA",
    success="#00714F",
    warning="#8A5A00",
    error="#B3261E",
    dark=False,
    variables={
        "muted": "#5A6572",
        "info": "#005FA8",
        "border": "#0072B2",
        "border-blurred": "#A9C3D3",
        "chart-raw": "#3C87B5",
        "chart-ema": "#0072B2",
        "chart-eval": "#886F36",
        "chart-c": "#255642",
        "chart-d": "#7034F8",
        "chart-e": "#4E2A6D",
        "chart-f": "#2F0893",
        "mask-trained": "#0B2E4A",
        "mask-trained-background": "#CFE6F7",
        "mask-special": "#7A4E00",
        "mask-cut": "#B3261E",
        "block-cursor-foreground": "#FAFAF7",
        "block-cursor-background": "#0072B2",
        "scrollbar": "#7FA6BF",
        "scrollbar-background": "#E2E5E2",
    },
)

SIXTEEN = Theme(
    name="sft-16",
    ansi=True,  # the terminal's own palette rules
    primary="ansi_bright_cyan",
    secondary="ansi_bright_blue",
    accent="ansi_bright_cyan",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_bright_red",
    dark=True,
    variables={
        "surface": "ansi_default",
        "panel": "ansi_default",
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "muted": "ansi_bright_black",
        "info": "ansi_bright_blue",
        "border": "ansi_bright_cyan",
        "border-blurred": "ansi_bright_black",
        "chart-raw": "ansi_cyan",
        "chart-ema": "ansi_bright_cyan",
        "chart-eval": "ansi_yellow",
        "chart-c": "ansi_bright_green",
        "chart-d": "ansi_bright_magenta",
        "chart-e": "ansi_white",
        "chart-f": "ansi_red",
        "mask-trained": "ansi_white",
        "mask-trained-background": "ansi_blue",
        "mask-special": "ansi_yellow",
        "mask-cut": "ansi_red",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-background": "ansi_bright_cyan",
        "input-cursor-text-style": "reverse",
        "scrollbar": "ansi_white",
        "scrollbar-background": "ansi_default",
        "scrollbar-hover": "ansi_white",
        "scrollbar-active": "ansi_white",
    },
)

THEMES = (DARK, LIGHT, SIXTEEN)

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
    "preparing": "info",
    "running": "success",
    "evaluating": "success",
    "saving": "success",
    "pausing": "warning",
    "paused": "warning",
    "stopping": "muted",
    "stopped": "muted",
    "finished": "success",
    "failed": "error",
    "crashed": "error",
    "stalled": "warning",
    "unknown": "muted",
}
"""The theme's role of each status."""


SEVERITIES = {"error": "✗", "warning": "!", "note": "i"}
"""Kinds of findings about a run, the weightiest first, with their glyphs."""


def badge(word: str) -> str:
    """Returns a status as glyph and word in capitals, as every screen writes it."""
    return f"{GLYPHS.get(word, '?')} {word.upper()}"


def with_status(text: str, word: str, variables: Mapping[str, str]) -> Text:
    """Returns a text with its badge in the colour of the status, which the word says too."""
    drawn, said = Text(text, no_wrap=True), badge(word)
    at = text.find(said)
    if at >= 0:
        drawn.stylize(colours(variables).get(ROLES.get(word, ""), ""), at, at + len(said))
    return drawn


def theme_for(chosen: str, colour: str, environ: Mapping[str, str]) -> Theme:
    """Returns the theme of a setting.

    Args:
        chosen: "dark", "light", or "auto": as the terminal says its background is.
        colour: What there is: "none" and "16" leave it to the terminal's own palette.
        environ: Where the terminal says it.
    """
    if colour in ("none", "16"):
        return SIXTEEN
    if chosen == "auto":
        return LIGHT if is_light(environ) else DARK
    return LIGHT if chosen == "light" else DARK


def colours(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns the colours of the roles that texts use from a theme's variables, as rich has them.

    Those of the 16-colour theme stand under names of Textual's own, such as ansi_green.
    """
    roles = ("muted", "success", "warning", "error", "info")
    return {role: variables.get(role, "").removeprefix("ansi_") for role in roles}
