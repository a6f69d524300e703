"""Times training against transformers' Trainer and TRL on the same rows: `make bench`.

`jobs.py` says what is timed, `ours.py` and `peers.py` run one side of it, `peer.py` is what a peer
runs in an environment of its own, `table.py` writes what was found. `cost_model.py` reckons what
cannot be run here.
"""
