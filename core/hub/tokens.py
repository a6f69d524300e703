"""The Hub's token: read as huggingface_hub reads it, stored only by it, shown to nobody."""

from ..errors import SftError
from . import endpoint


def read() -> str | None:
    """Returns the token of the environment or of `hf auth login`, or None.

    Raises:
        SftError: It is no token, or HF_ENDPOINT is no address; the message does not hold it.
    """
    endpoint.check()
    from huggingface_hub import constants, get_token  # 0.2 s, paid by who speaks to the Hub

    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    if token is None or not token.strip():
        return None
    return checked(token)


def checked(token: str) -> str:
    """Returns a token without white space around it.

    Raises:
        SftError: It cannot be sent in a header: the client's own error would print it.
    """
    bare = token.strip()
    if not bare.isascii() or not bare.isprintable() or " " in bare:
        raise SftError(
            "the token cannot be used",
            "it holds spaces, line feeds or characters that no token has",
            "give it again with `hf auth login`, or mend HF_TOKEN",
        )
    return bare


def headers() -> dict[str, str]:
    """Returns the headers of a request: what asks, and for whom."""
    from .. import __version__

    token = read()
    own = {"user-agent": f"sft-tui/{__version__}"}
    return {**own, "authorization": f"Bearer {token}"} if token else own


def store(token: str) -> str:
    """Keeps a token where huggingface_hub keeps it, and returns the name of its account.

    Raises:
        SftError: It is no token, or the Hub does not know it.
    """
    import httpx2
    from huggingface_hub import HfApi, login
    from huggingface_hub.errors import HfHubHTTPError

    bare = checked(token)
    try:
        name = HfApi().whoami(token=bare)["name"]
        login(token=bare, add_to_git_credential=False, skip_if_logged_in=False)
    except HfHubHTTPError as error:
        raise SftError(
            "the token was not kept",
            f"the Hub answered {error.response.status_code} to it",
            "make a new one at https://huggingface.co/settings/tokens",
        ) from None  # the error's own text holds the request
    except httpx2.HTTPError as error:
        raise SftError(
            "the token was not kept",
            f"the Hub is not reachable: {type(error).__name__}",
            "check the connection and HF_ENDPOINT, then give it again",
        ) from None
    except OSError as error:  # HF_HUB_OFFLINE, or a home that cannot be written
        raise SftError(
            "the token was not kept",
            error.strerror or "the Hub was not asked: HF_HUB_OFFLINE is set",
            "mend that, then give it again",
        ) from None
    return str(name)
