"""What a start of the trainer need not import, and how it imports the rest in less time."""

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager

from .. import gguf
from ..config import ModelConfig, RunConfig
from ..hub import local
from ..preflight import local_model
from ..regular import read_small


@contextmanager
def quick_imports() -> Generator[None]:
    """Lets no garbage be looked for while something large is imported.

    Of torch, transformers and PEFT nearly nothing is garbage, and looking for it takes a quarter of
    their time. What is there afterwards stays to the end, so it is not looked through again either.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def leave_out_unused(config: RunConfig) -> None:
    """Makes bitsandbytes count as not installed in this process where the run does not use it.

    PEFT imports it wherever it is installed, which takes a second of every start.
    """
    unused = config.model.quantisation == "none" and config.optim.name != "adamw_8bit"
    if unused and not _may_be_quantised(config.model):
        # See "The module cache" of the Python language reference: None is a module that is not.
        sys.modules.setdefault("bitsandbytes", None)  # type: ignore[arg-type]


def _may_be_quantised(model: ModelConfig) -> bool:
    """Returns whether the base itself is of quantised weights, or not here to be asked."""
    if model.name == "demo" or gguf.is_gguf(model.name):
        return False
    folder = local_model(model.name) or local.snapshot(model.name, model.revision)
    if folder is None:
        return True
    try:
        return b"quantization_config" in read_small(folder / "config.json")
    except OSError:  # loading the model says what is wrong with it
        return True
