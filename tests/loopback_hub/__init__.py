"""A Hugging Face Hub on the loopback interface, for tests and demos with genuine clients.

It serves a folder tree as the Hub would, so far as huggingface_hub, datasets and transformers
ask: lists, repositories, files with ranges and redirects, pushes, and previews of data sets.
What it cannot show is how huggingface.co ranks, which previews it has, and how fast it is.

A repository is a folder `root/{models,datasets}/{org}/{name}`; its `.hub.json` may state

    {"downloads": 12, "likes": 3, "trendingScore": 1, "gated": "manual", "private": false,
     "pipeline_tag": "text-generation", "library_name": "transformers", "tags": ["english"],
     "createdAt": "2026-01-01T00:00:00.000Z", "lastModified": "2026-02-01T00:00:00.000Z",
     "accounts": ["bob"]}

where `accounts` are those that were let in. Further branches are folders of the repository's
`.revisions`, named as in an address: `refs%2Fpr%2F1`.
"""

from .faults import Fault, LoggedRequest, rate_limited
from .server import LoopbackHub

__all__ = ["Fault", "LoggedRequest", "LoopbackHub", "rate_limited"]
