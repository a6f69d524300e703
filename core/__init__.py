"""The training core of sft-tui: configuration, run directories, prompts, and the trainer.

Modules directly in this package are light: importing one never pulls in torch,
transformers, datasets, peft, accelerate or numpy. Those live in `core/training/`, which only
the trainer process imports.
"""

__version__ = "0.1.0"
