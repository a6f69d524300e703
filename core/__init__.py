"""The training core of sft-tui: configuration, run directories, prompts, and the trainer.

Modules directly in this package are light: importing one never pulls in torch,
transformers, datasets, peft, accelerate or numpy. Those live in `core/training/`, which only
the trainer process imports.
"""

import os

__version__ = "0.1.0"

# huggingface_hub reads it when it is imported. Whoever trains at home tells nobody that he does.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
