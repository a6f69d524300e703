"""What is said of the list of models as a whole: where it is from, and why it is not as wished."""

from pathlib import Path

from ....core.text import one_line
from ...services.hub_list import HubList
from .model_list import NAMES, Entry, ModelList
from .model_words import state_words


def counts(models: ModelList, hub: HubList, folder: Path) -> list[str]:
    """Returns the source and how much it has."""
    source = NAMES[models.source]
    if models.source == "local":
        return [source, str(folder)]
    if models.source == "cache":
        return [source, f"{len(models.cached)} on this machine"]
    if hub.asking:
        return [source, "asking…"]
    if hub.error is not None or hub.answered is None:
        return [source]
    took = "" if hub.elapsed_s is None else f"answered in {hub.elapsed_s:.1f} s"
    more = ", PgDn at the end for more" if hub.more else ""
    count = len(hub.rows)
    return [source, f"{count} model{'s' * (count != 1)}{more}", took]


def state(models: ModelList, hub: HubList, folder: Path) -> str:
    """Returns why the list is not what one may expect, and what to do; "" where it is."""
    words = one_line(models.words, 60)
    if models.source == "local" and not models.near:
        return f"No models in {one_line(str(folder))}. Press / and type another folder."
    if models.source == "cache" and not models.cached:
        return "The Hub's cache on this machine holds no models. Press t for other sources."
    if models.source != "hub":
        named = models.entries() or not words
        return "" if named else f"No model here is named '{words}'. Press / for other words."
    if hub.error is not None:
        usable = sum(Entry(model.name, model).here for model in models.cached)
        return state_words(hub.error, usable, hub.wait_s)
    if words and hub.answered == models.words.strip() and not models.entries():
        near = models.nearest()
        nearest = f" Nearest: {near}." if near else ""
        return (
            f"No model named '{words}'.{nearest} Press Enter on a full owner/name to try it anyway."
        )
    return ""
