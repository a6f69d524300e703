"""Whether models of a list fit this machine, from their configurations and headers alone."""

import asyncio
from collections.abc import Iterable, Mapping

from .config import RunConfig
from .errors import SftError
from .fit import Device, estimate
from .hardware import Memory, memories
from .hub.client import HubClient
from .model_facts import ModelFacts, on_hub
from .verdict import Verdict, verdict

_AT_ONCE = 4


async def judge(client: HubClient, ids: Iterable[str], config: RunConfig) -> dict[str, Verdict]:
    """Returns a verdict for each model: LoRA with rows of `data.max_length`, all trained.

    Args:
        client: An open connection; a model costs two requests and about 100 kB.
        ids: Of models on the Hub.
        config: Rank, length, batch and precision.
    """
    memory = (await asyncio.to_thread(memories, config.launch.accelerator))[0]
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> Verdict:
        async with limit:
            return await _verdict(client, name, config, memory)

    names = list(ids)
    return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))


def judge_here(models: Mapping[str, ModelFacts], config: RunConfig) -> dict[str, Verdict]:
    """Returns the same verdict for models of this machine, whose facts are known."""
    memory = memories(config.launch.accelerator)[0]
    return {name: _of(facts, config, memory) for name, facts in models.items()}


async def _verdict(client: HubClient, name: str, config: RunConfig, memory: Memory) -> Verdict:
    try:
        return _of(await on_hub(client, name), config, memory)
    except SftError as error:  # of this model alone; the others are judged
        return Verdict("unknown", why=f"{error.what}: {error.why}")


def _of(facts: ModelFacts, config: RunConfig, memory: Memory) -> Verdict:
    device: Device = "cuda" if memory.is_gpu else "cpu"
    guess = estimate(facts, config, device=device, rows_tokens=config.data.max_length)
    return verdict(guess, memory.capacity_bytes)
