"""What the terminal can show, by what it and tmux say of themselves: nothing is sent to it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Literal

from .text import one_line

Colours = Literal["none", "16", "256", "truecolor"]
SMALLEST = (80, 24)
"""Columns and rows that every screen has room in."""
SLOW_ESCAPE_MS = 100
_TMUX_S = 2.0


def colours(environ: Mapping[str, str]) -> Colours:
    """Returns how many colours the environment promises; with NO_COLOR none are wanted."""
    if "NO_COLOR" in environ:
        return "none"
    if environ.get("COLORTERM") in ("truecolor", "24bit"):
        return "truecolor"
    many = ("256color", "direct", "kitty", "alacritty")
    return "256" if any(word in environ.get("TERM", "") for word in many) else "16"


def draws_all(environ: Mapping[str, str]) -> bool:
    """Returns whether more than ASCII is drawn: not on the Linux console or without UTF-8.

    Python itself sets LC_CTYPE to a UTF-8 locale where LANG is C (PEP 538), so LANG counts there.
    A locale that is not set at all says nothing about the terminal: containers have none.
    """
    if environ.get("TERM") == "linux":
        return False
    ctype, lang = environ.get("LC_CTYPE", ""), environ.get("LANG", "")
    if ctype.startswith(("C.", "UTF-8")) and lang in ("C", "POSIX"):
        ctype = ""
    locale = environ.get("LC_ALL") or ctype or lang
    return not locale or "utf8" in locale.lower().replace("-", "")


def is_light(environ: Mapping[str, str]) -> bool:
    """Returns whether the terminal says that its background is light: few set COLORFGBG."""
    return environ.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15")


def size() -> tuple[int, int] | None:
    """Returns columns and rows of the terminal that this process has, None where it has none."""
    for stream in (sys.__stdout__, sys.__stdin__, sys.__stderr__):
        try:
            found = os.get_terminal_size(stream.fileno()) if stream is not None else None
        except (OSError, ValueError):  # a file, a pipe, or closed
            continue
        if found is not None and found.columns > 0:
            return found.columns, found.lines
    return None


def tmux(environ: Mapping[str, str]) -> tuple[str, int] | None:
    """Returns tmux's version and how long it holds back Esc, in ms; None where it does not say."""
    if not environ.get("TMUX"):
        return None
    try:
        answer = subprocess.run(
            ["tmux", "display-message", "-p", "#{version} #{escape-time}"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TMUX_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version, _, held = answer.stdout.strip().rpartition(" ")
    return (one_line(version, 20), int(held)) if version and held.isdecimal() else None
