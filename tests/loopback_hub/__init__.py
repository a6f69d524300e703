"""A Hugging Face Hub on the loopback interface, for tests and demos with genuine clients.

It serves a folder tree as the Hub would, so far as huggingface_hub, datasets and transformers
ask: lists, repositories, files with ranges and redirects, pushes, and previews of data sets.
What it cannot show is how huggingface.co ranks, which previews it has, and how fast it is.
"""

from .faults import Fault, LoggedRequest, rate_limited
from .server import LoopbackHub

__all__ = ["Fault", "LoggedRequest", "LoopbackHub", "rate_limited"]
