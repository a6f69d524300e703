"""Answers about a run's model, in a process of its own, which `core/chat.py` describes.

Usage: python -P -m sft_tui.core.training.chat_helper.
"""

from .imports import quick_imports


def main() -> None:
    """Answers until stdin ends."""
    with quick_imports():  # torch, transformers and PEFT: seconds
        from .chat import main as answer
    answer()


if __name__ == "__main__":
    main()
