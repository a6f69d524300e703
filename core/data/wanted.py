"""Which data sets of the Hub a configuration needs, and at which commits they are trained."""

import msgspec

from ..config import RunConfig, SourceConfig
from ..hub.datasets import Wanted, is_here, known, split_of
from . import split_slice
from .files import is_hub_id


def missing(config: RunConfig) -> list[Wanted]:
    """Returns the splits that a configuration names and that must be downloaded first."""
    return [wanted for wanted in _named(config) if not is_here(wanted)]


def commits(config: RunConfig, chosen: dict[str, str]) -> dict[str, str]:
    """Returns, as choices of a run, the commits of data sets for which the configuration has none.

    Args:
        config: Its data sets are all here.
        chosen: The choices of an earlier start, whose commits are kept.
    """
    choices = dict[str, str]()
    for wanted in _named(config):
        choice = _choice(wanted.id, wanted.config)
        held = known(wanted.id, wanted.config, chosen.get(choice))
        if wanted.commit is None and held is not None:
            choices[choice] = held.commit
    return choices


def at_commits(config: RunConfig, choices: dict[str, str]) -> RunConfig:
    """Returns a configuration whose data sets are of the commits among a run's choices."""

    def named(source: str, config: str | None) -> str:
        commit = choices.get(_choice(source, config)) if is_hub_id(source) else None
        return f"{source}@{commit}" if commit else source

    def source_at(source: SourceConfig) -> SourceConfig:
        return msgspec.structs.replace(source, source=named(source.source, source.config))

    data = config.data
    apart = named(data.eval_source, None) if data.eval_source is not None else None
    sources = [source_at(source) for source in data.sources]
    return msgspec.structs.replace(
        config, data=msgspec.structs.replace(data, sources=sources, eval_source=apart)
    )


def _named(config: RunConfig) -> list[Wanted]:
    """Returns the splits of the Hub that a configuration names, each once."""
    data, first = config.data, config.data.sources[0]
    named = [(source.source, source.config, source.split) for source in data.sources]
    if data.eval_source is not None:
        named.append((data.eval_source, None, data.eval_split or "train"))
    elif data.eval_split is not None:
        named.append((first.source, first.config, data.eval_split))
    asked = [
        split_of(source, name, split_slice.parse(split)[0])
        for source, name, split in named
        if is_hub_id(source)
    ]
    return list(dict.fromkeys(asked))


def _choice(id: str, config: str | None) -> str:
    """Returns the name among a run's choices of the commit of a data set."""
    return f"commit of {id}" + (f" ({config})" if config else "")
