"""What waits in the queue, in words, for the screen and the command line."""

import time
from collections.abc import Sequence
from pathlib import Path

from ..core import run_queue
from ..core.errors import SftError
from ..core.run_queue import Waiting
from ..core.summary import method_of
from ..core.text import one_line


def line(entry: Waiting) -> str:
    """Returns what a run that waits will train, or why it cannot."""
    if entry.problem is not None:
        return f"✗ {one_line(entry.problem)}"
    try:
        config = entry.run_config
    except SftError as error:
        return f"✗ {one_line(str(error))}"
    model, data = config.model.name, config.data.sources[0].source
    return one_line(f"{Path(model).name} · {method_of(config)} · {Path(data).name}")


_YOUNG_S = 5.0
"""For so long a scheduler may still be on its way."""


def held(entries: Sequence[Waiting]) -> bool:
    """Returns whether nothing will start what could be started."""
    ready = [each for each in entries if each.problem is None]
    old = any(time.time() - each.t > _YOUNG_S for each in ready)
    return old and not run_queue.is_scheduled()
