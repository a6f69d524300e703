"""Which trackers there are, and whether their packages are installed. Imports none of them."""

import importlib.metadata
import importlib.util

from ..errors import SftError

DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "wandb": ("wandb",),
    "tensorboard": ("tensorboard",),
    "trackio": ("trackio",),
    "mlflow": ("mlflow", "mlflow-skinny"),
}
"""By kind, which is also the name of the module and of our extra: what brings it, any of these."""


def refuse_missing(kind: str) -> None:
    """Refuses a tracker whose package is not installed; `none` needs nothing.

    Raises:
        SftError: Which package is missing, and the command that installs it.
    """
    if kind == "none":
        return
    spec = importlib.util.find_spec(kind)
    if spec is None or spec.origin is None:  # no origin: a mere folder of that name
        raise SftError(
            f"the tracker {kind} cannot be used",
            f"the package {kind} is not installed",
            f"pip install 'sft-tui[{kind}]', or set track.kind to none",
        )


def version(*distributions: str) -> str | None:
    """Returns the version of the first of these that is installed; None where none is."""
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
