"""The Hub's address as the environment gives it: checked before huggingface_hub takes it."""

import os
from urllib.parse import urlsplit

from ..errors import UsageError
from ..text import one_line


def check() -> None:
    """Refuses an HF_ENDPOINT that is no address of a web server.

    huggingface_hub reads it when it is imported, and fails there or at the first request.

    Raises:
        UsageError: It is none; the message holds no password of it.
    """
    given = os.environ.get("HF_ENDPOINT")
    if given is None or _is_address(given):
        return
    shown = one_line(given.rpartition("@")[2], 80)
    raise UsageError(
        "HF_ENDPOINT cannot be used",
        f"{shown!r} is no address that begins with http:// or https:// and names a host",
        "set it to one such as https://huggingface.co, or unset it",
    )


def host() -> str:
    """Returns host and port of the Hub that is asked."""
    return host_of(os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def host_of(endpoint: str) -> str:
    """Returns host and port of an address, without a name and password in it."""
    return endpoint.partition("://")[2].rpartition("@")[2]


def proxy_for(host: str) -> tuple[str, str] | None:
    """Returns the variable that names a proxy for a host, and where the proxy is; or None."""
    from urllib.request import proxy_bypass  # only where something failed

    scheme = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co").scheme
    for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
        if found := os.environ.get(name):
            place = found.rpartition("//")[2].rpartition("@")[2].rstrip("/")
            return None if proxy_bypass(host) else (name, place)
    return None


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:  # half a bracket, a port that is none
        return False
    bare = text.isprintable() and " " not in text
    return parts.scheme in ("http", "https") and bool(host) and bare
