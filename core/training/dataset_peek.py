"""Streams the first rows of a Hub data set, for one that the Dataset Viewer does not show.

Usage: python -P -m sft_tui.core.training.dataset_peek ID SPLIT COUNT [CONFIG]. Prints the JSON of
a list of rows; ends with 2 and a line of why where that fails.
"""

import json
import sys

from ..text import one_line
from .imports import quick_imports


def main(arguments: list[str]) -> int:
    """Prints the rows."""
    with quick_imports():
        import datasets

    name, split, count = arguments[:3]
    config = arguments[3] if len(arguments) > 3 else None
    try:
        rows = datasets.load_dataset(name, config, split=split, streaming=True).take(int(count))
        print(json.dumps(list(rows), default=str))
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        print(one_line(str(error), 400))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
