"""The helper process: `python -m sft_tui.core.sidecar`."""

from .answering import serve
from .calls import find

if __name__ == "__main__":
    serve(find)
