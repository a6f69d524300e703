"""The trainer: the only part that imports torch, transformers, peft and accelerate.

It runs as a process of its own on one run directory; see `recipe.py` for the story of a run.
"""
