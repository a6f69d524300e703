"""Which data sets of the Hub a configuration needs and this machine has not."""

from ..config import RunConfig
from ..hub.datasets import Wanted, is_here
from . import split_slice
from .files import is_hub_id


def missing(config: RunConfig) -> list[Wanted]:
    """Returns the splits that a configuration names and that must be downloaded first."""
    data, first = config.data, config.data.sources[0]
    named = [(source.source, source.config, source.split) for source in data.sources]
    if data.eval_source is not None:
        named.append((data.eval_source, None, data.eval_split or "train"))
    elif data.eval_split is not None:
        named.append((first.source, first.config, data.eval_split))
    asked = [
        Wanted(source, name, split_slice.parse(split)[0])
        for source, name, split in named
        if is_hub_id(source)
    ]
    return [wanted for wanted in dict.fromkeys(asked) if not is_here(wanted)]
