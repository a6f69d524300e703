"""What the Hub refuses and how a connection fails, as messages: what, why and what to do."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import SftError
from ..text import one_line
from .endpoint import host_of, proxy_for

if TYPE_CHECKING:
    import httpx2

_WINDOW = re.compile(r'"(\w+)"\s*;\s*r\s*=\s*(\d+)\s*;\s*t\s*=\s*(\d+)')


class HubError(SftError):
    """The Hub did not give what was asked for.

    `kind` is offline, unreachable, timeout, token, gated, missing, refused, limit, server,
    elsewhere or garbled; `wait_s` tells for `limit` how many seconds to wait.
    """

    def __init__(
        self, kind: str, what: str, why: str, remedy: str, wait_s: int | None = None
    ) -> None:
        super().__init__(what, why, remedy)
        self.kind = kind
        self.wait_s = wait_s


def refusal(
    response: "httpx2.Response", repo: str, endpoint: str, *, signed_in: bool
) -> HubError | None:
    """Returns the message for an answer that is none, by its status and the Hub's own code.

    Args:
        response: The answer.
        repo: The page of the repository that it is about, `OWNER/NAME` or `datasets/OWNER/NAME`;
            or "".
        endpoint: Of the Hub.
        signed_in: Whether a token was sent.
    """
    status, code = response.status_code, response.headers.get("x-error-code", "")
    if status < 400:
        return None
    if status == 429:
        return limit(_wait_s(response.headers), signed_in)
    said = one_line(response.headers.get("x-error-message", ""), 200)
    if status in (401, 403) and (code == "GatedRepo" or "gated" in said.lower()):
        return gated(repo, endpoint, signed_in=signed_in)
    host = response.url.netloc.decode("ascii", "replace")
    if status in (401, 403, 404) and response.history and not code and host != host_of(endpoint):
        return _elsewhere(repo, host_of(endpoint), f"{host}, which answered {status}")
    bare = not code
    unknown = signed_in and status == 401 and bare and not repo
    if unknown or (status in (401, 403) and "credentials" in said.lower()):
        return HubError(
            "token",
            "the Hub does not accept the token",
            said or f"{host} answered 401 to it",
            "give another one with `hf auth login`, or unset HF_TOKEN",
        )
    if bare and (status == 403 or (not repo and status in (401, 404))):
        return _refused(status, said, host, signed_in=signed_in)
    if status in (401, 403, 404):
        return missing(repo, code, signed_in=signed_in)
    return HubError(
        "server",
        "the Hub cannot answer now",
        f"{host} answered {status} {said or one_line(response.reason_phrase, 200)}",
        "try again in a minute, or use what is on this machine",
    )


def _elsewhere(repo: str, host: str, answered: str) -> HubError:
    """Returns the message for a refusal by the host that the Hub redirects to for large files."""
    return HubError(
        "elsewhere",
        f"the files of {repo} cannot be had",
        f"{host} sends on to {answered}",
        "let the proxy or firewall pass that host, and check this machine's clock: its addresses "
        "hold for a time only; then start it again",
    )


def _refused(status: int, said: str, host: str, *, signed_in: bool) -> HubError:
    """Returns the message for a refusal that does not say what it is about."""
    if status == 404:
        return HubError(
            "garbled",
            "this address is not a Hub",
            f"{host} answered 404 where every Hub has a list",
            "check HF_ENDPOINT",
        )
    if status == 401:
        why, ask = "it wants to know who asks", "give a token with `hf auth login` or HF_TOKEN"
    elif signed_in:
        why = "a proxy or firewall stands between, or the token lacks the right"
        ask = "check the proxy and the firewall, and what the token may do"
    else:
        why, ask = "a proxy or firewall stands between", "check the proxy and the firewall"
    return HubError("refused", f"{host} refused ({status})", f"{said}: {why}" if said else why, ask)


def unreachable(error: BaseException, host: str) -> HubError:
    """Returns the message for a connection that failed, to the Hub or to the proxy before it."""
    proxy = proxy_for(host)
    if proxy is not None:
        variable, place = proxy
        return HubError(
            "unreachable",
            "the Hub is not reachable",
            f"{host} is asked by way of the proxy of {variable}: {_cause(error, place)}",
            f"check {variable} and the proxy, add the Hub to NO_PROXY, or use what is on this "
            "machine",
        )
    return HubError(
        "unreachable",
        "the Hub is not reachable",
        _cause(error, host),
        "check the connection and HF_ENDPOINT, or use what is on this machine",
    )


def silent(host: str, seconds: float) -> HubError:
    """Returns the message for an answer that did not come in time."""
    return HubError(
        "timeout",
        "the Hub gives no answer",
        f"{host} was silent or too slow for {seconds:.0f} s",
        "try again, or use what is on this machine",
    )


def garbled(host: str, kind: str) -> HubError:
    """Returns the message for an answer of another kind than the Hub gives."""
    return HubError(
        "garbled",
        "the answer is not the Hub's",
        f"{host} sent {one_line(kind, 60)} where data were asked for",
        "a proxy or a login page may stand between: check HF_ENDPOINT and the proxy",
    )


def gated(repo: str, endpoint: str, *, signed_in: bool) -> HubError:
    """Returns the message for a repository whose licence was not accepted."""
    why = "its licence must be accepted first"
    how = "" if signed_in else ", then give a token with `hf auth login` or HF_TOKEN"
    scheme = endpoint.partition("://")[0]
    remedy = f"open {scheme}://{host_of(endpoint)}/{repo} in a browser and accept it{how}"
    return HubError("gated", f"{name_of(repo)} is gated", why, remedy)


def missing(repo: str, code: str, *, signed_in: bool) -> HubError:
    """Returns the message for what is not there, or hidden from this account."""
    if code == "RevisionNotFound":
        return HubError(
            "missing",
            f"{name_of(repo)} has no such revision",
            "no branch, tag or commit has that name",
            "check the revision",
        )
    if code == "EntryNotFound":
        return HubError(
            "missing",
            f"{name_of(repo)} has no such file",
            "the Hub does not know it",
            "check its name",
        )
    other = "this account may not see it" if signed_in else "it is private and no token is given"
    token = "give a token with `hf auth login` or HF_TOKEN"
    ask = "that this token's account may see it" if signed_in else f"for a private one {token}"
    return HubError(
        "missing",
        f"{name_of(repo)} is not on the Hub",
        f"there is none of that name, or {other}",
        f"check the name, and {ask}",
    )


def name_of(repo: str) -> str:
    """Returns what a repository is called, of its page."""
    return repo.removeprefix("datasets/") or "the repository"


def limit(wait_s: int, signed_in: bool) -> HubError:
    more = "" if signed_in else "; a token (`hf auth login`) raises the limit"
    return HubError(
        "limit",
        f"the Hub asks to wait {wait_s} s",
        "too many requests came from here",
        f"wait, or use what is on this machine{more}",
        wait_s,
    )


def _wait_s(headers: Mapping[str, str]) -> int:
    """Reads how long a limit lasts, from `RateLimit` (IETF draft) or `Retry-After`."""
    found = _WINDOW.search(headers.get("ratelimit", ""))
    if found is not None and found[2] == "0":
        return max(int(found[3]), 1)
    after = headers.get("retry-after", "").strip()
    return max(int(after), 1) if after.isdigit() else 60


def _cause(error: BaseException, host: str) -> str:
    """Returns why a connection failed, in the system's words where it has some."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return f"{host}: {one_line(seen.strerror, 200)}"
        seen = seen.__cause__ or seen.__context__
    return f"{host}: {one_line(str(error), 200) or type(error).__name__}"
