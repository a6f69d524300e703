"""Serves a folder as a Hub for a person: `python -m tests.loopback_hub ROOT --fill`."""

import argparse
import threading
from pathlib import Path

from .server import LoopbackHub

ACCOUNTS = {"hf_alice": "alice", "hf_bob": "bob", "hf_reader": "alice"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.loopback_hub", description=__doc__)
    parser.add_argument("root", type=Path, help="holds models/ORG/NAME and datasets/ORG/NAME")
    parser.add_argument("--port", type=int, default=0, help="by default a free one")
    parser.add_argument("--fill", action="store_true", help="write example repositories first")
    options = parser.parse_args()
    if options.fill:
        from . import samples  # imports transformers

        samples.fill(options.root)
    with LoopbackHub(options.root, ACCOUNTS, read_only={"hf_reader"}, port=options.port) as hub:
        print(f"export HF_ENDPOINT={hub.url} HF_HUB_DISABLE_XET=1")
        for token, name in ACCOUNTS.items():
            print(f"# HF_TOKEN={token} is {name}, who may {_rights(token, hub)}")
        print("# Ctrl+C ends it.", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


def _rights(token: str, hub: LoopbackHub) -> str:
    return "read" if token in hub.read_only else "read and push"


if __name__ == "__main__":
    main()
