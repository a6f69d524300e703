"""What the models in sight are and whether they fit: asked a few at once, the first one first.

The Hub's small files are read in the event loop, where leaving off is instant; what takes
computing is the helper process's.
"""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from ...core.config import DataConfig, ModelConfig, RunConfig
from ...core.errors import SftError
from ...core.hub import facts
from ...core.hub.client import HubError
from ...core.sheet import Sheet
from ...core.sidecar.model_calls import HubModel, OwnModel
from .hub_link import AWAY, HubLink
from .sidecar import Sidecar

_AT_ONCE = 4
_PASSING = (*AWAY, "limit", "server")
"""Kinds of failures that say nothing of the model: it is asked for again when there is a reason."""

_UNJUDGED = Sheet(why="the draft has a problem, which Configure shows")


class Looked(msgspec.Struct, frozen=True):
    """What was found of a model, or why nothing was."""

    sheet: Sheet | None = None
    about: facts.Model | None = None
    """What the Hub says, where it was asked."""
    failure: SftError | None = None

    @property
    def passing(self) -> bool:
        """Whether it failed for a reason that is not the model's."""
        return isinstance(self.failure, HubError) and self.failure.kind in _PASSING


class ModelSheets:
    """Keeps what was found, and asks for what is wanted now.

    Args:
        link: The connection to the Hub.
        sidecar: The helper process.
        tell: Called with a name when something of it was found, or not.
    """

    def __init__(self, link: HubLink, sidecar: Sidecar, tell: Callable[[str], object]) -> None:
        self._link = link
        self._sidecar = sidecar
        self._tell = tell
        self._config: RunConfig | None = None
        self._found: dict[str, Looked] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    def of(self, name: str) -> Looked | None:
        """Returns what was found of a model so far."""
        return self._found.get(name)

    def judge_for(self, config: RunConfig | None) -> None:
        """Takes the run that models are to fit; None while the draft has no valid one."""
        before, self._config = self._config, config
        if _what_matters(config) != _what_matters(before):
            self.forget_all()

    def forget(self, *names: str) -> None:
        """Has these models asked for anew."""
        for name in names:
            self._found.pop(name, None)
            self._stop(name)

    def forget_all(self) -> None:
        """Has all models asked for anew."""
        self.forget(*self._found, *self._tasks)

    def forget_failures(self) -> None:
        """Has those asked for anew of which nothing was found."""
        self.forget(*[name for name, looked in self._found.items() if looked.failure is not None])

    def forget_passing(self) -> None:
        """Has those asked for anew of which nothing was found for a reason that was not theirs."""
        self.forget(*[name for name, looked in self._found.items() if looked.passing])

    def want(self, models: Iterable[tuple[str, bool]]) -> None:
        """Asks for models, each with whether it is on this machine, and for no others."""
        wanted = dict(models)
        for name in [name for name in self._tasks if name not in wanted]:
            self._stop(name)
        for name, here in wanted.items():
            if name not in self._found and name not in self._tasks:
                self._tasks[name] = asyncio.create_task(self._keep(name, here))

    async def get(self, name: str, here: bool) -> Looked:
        """Returns what is found of one model, asked for at once where it is not known."""
        looked = self._found.get(name)
        if looked is None or looked.passing:
            looked = self._found[name] = await self._look(name, here)
            self._tell(name)
        return looked

    def stop(self) -> None:
        """Leaves off all that is under way."""
        for name in list(self._tasks):
            self._stop(name)

    def _stop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()

    async def _keep(self, name: str, here: bool) -> None:
        found = await self._look(name, here)
        if self._tasks.get(name) is asyncio.current_task():  # else it was left meanwhile
            del self._tasks[name]
            self._found[name] = found
            self._tell(name)

    async def _look(self, name: str, here: bool) -> Looked:
        try:
            return await (self._own(name) if here else self._listed(name))
        except SftError as error:
            return Looked(failure=error)
        except Exception as error:  # the program's own fault: shown, not lost with the task
            why = f"{type(error).__name__}: {error}"
            return Looked(failure=SftError(f"{name} cannot be judged", why, "choose another"))

    async def _own(self, name: str) -> Looked:
        config = self._run_of(name)
        if config is None:
            return Looked(_UNJUDGED)
        return Looked(await self._sidecar.ask("own_model", OwnModel(config), Sheet))

    async def _listed(self, name: str) -> Looked:
        async with self._room:
            client = await self._link.client()
            try:
                about = await facts.model(client, name)
                headers = await facts.headers(client, about.repo)
            except SftError as error:
                self._link.heard(error)
                raise
            self._link.heard(None)
        config = self._run_of(name)
        if not headers:
            return Looked(Sheet(why="it has no safetensors"), about)
        if config is None:
            return Looked(_UNJUDGED, about)
        asked = HubModel(name, about.config, list(headers.values()), config)
        return Looked(await self._sidecar.ask("hub_model", asked, Sheet), about)

    def _run_of(self, name: str) -> RunConfig | None:
        if self._config is None:
            return None
        model = self._config.model
        if name != model.name:  # a revision is one of the model that was chosen
            model = msgspec.structs.replace(model, name=name, revision=None)
        return msgspec.structs.replace(self._config, model=model)


def _what_matters(config: RunConfig | None) -> RunConfig | None:
    """Returns a run without what has no say in whether a model fits: which one, and the rows."""
    if config is None:
        return None
    return msgspec.structs.replace(
        config,
        model=ModelConfig(attention=config.model.attention),
        data=DataConfig(max_length=config.data.max_length),
    )
