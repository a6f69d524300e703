"""A download as its caller sees it: a child process that tells how it goes and can be ended."""

from . import child
from .datasets import Wanted
from .fetch import Request

_WORKS = {
    Request: "sft_tui.core.hub.fetch",
    Wanted: "sft_tui.core.training.dataset_helper",
}
"""The module that does the work, by what is asked for."""


def download(request: Request | Wanted) -> child.Events:
    """Downloads in a child process and yields how it goes; the last event is `done`.

    A `Request` is files of a repository; a `Wanted` is a split of a data set, of which the
    library `datasets` says which files it has.

    Leaving the iteration, or cancelling it, ends the process at once; what came stays and the
    next download goes on from there.

    Raises:
        HubError: It failed; `kind` is `local` where this machine was the reason.
    """
    return child.events(
        _WORKS[type(request)],
        request,
        f"the download of {request.id}",
        "start it again: it goes on where it was",
    )
