"""The model that the window talks to: none yet, one that is being opened, or one that is served.

Knows models and the server's app; must not know the web view.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from thinkport.deploy.desktop.opening import Recent, open_artifact
from thinkport.runtime.artifact_loading import LoadProgress, LoadStage
from thinkport.runtime.errors import ThinkportError
from thinkport.runtime.model import Model
from thinkport.runtime.server.app import create_app
from thinkport.runtime.server.settings import ServerSettings

_WORDS = {
    LoadStage.FETCH: "Fetching the artifact",
    LoadStage.CHECK: "First check of this artifact",
    LoadStage.GRAPH: "Loading the model",
}


@dataclass(frozen=True, kw_only=True)
class OpeningProgress:
    """What an opening does now; `share` is how much of it is done, from 0 to 1, None where nobody knows."""

    name: str
    what: str
    share: float | None


class Stage:
    """One model at a time; the one before stays until the next one is open. For one event loop."""

    def __init__(self, recent: Recent, settings: ServerSettings, *, provider: str):
        """`provider` is what `Model.load` takes; `settings` are those of the server's app."""
        self._recent, self._settings, self._provider = recent, settings, provider
        self._progress: OpeningProgress | None = None
        self._problem: str | None = None
        self._opening: asyncio.Task[None] | None = None
        self._served: tuple[Model, AbstractAsyncContextManager[Any]] | None = None
        self.app: Starlette | None = None

    def state(self) -> dict[str, Any]:
        """For the page: `opening` is null while there is a model to talk to and nothing else to say."""
        if self.app is not None and self._progress is None and self._problem is None:
            return {"opening": None}
        recent = [{"name": folder.name, "folder": str(folder)} for folder in self._recent.all()]
        progress = None if self._progress is None else asdict(self._progress)
        back = self.app is not None
        return {"opening": {"recent": recent, "progress": progress, "problem": self._problem, "back": back}}

    def open(self, folder: Path) -> None:
        """Begin to open an artifact, unless one is being opened."""
        if self._opening is None:
            whole = folder.resolve()
            self._problem = None
            self._progress = OpeningProgress(name=whole.name, what="Looking at the files", share=None)
            self._opening = asyncio.ensure_future(self._open(whole))

    def back(self) -> None:
        """Forget why an artifact could not be opened."""
        self._problem = None

    async def end(self) -> None:
        """End replies, and close the model."""
        if self._opening is not None:
            await asyncio.wait([self._opening])
        await self._end_served()

    async def _end_served(self) -> None:
        if self._served is not None:
            model, serving = self._served
            self.app = self._served = None
            try:
                await serving.__aexit__(None, None, None)
            finally:
                model.close()

    async def _open(self, folder: Path) -> None:
        model: Model | None = None
        try:
            model = await asyncio.to_thread(
                open_artifact, folder, self._recent, provider=self._provider, progress=self._tell
            )
            app = create_app(model, folder.name, self._settings)
            serving = app.router.lifespan_context(app)
            await serving.__aenter__()
            await self._end_served()
            self.app, self._served, model = app, (model, serving), None
        except Exception as error:  # whatever it is, the window shows it
            told = isinstance(error, ThinkportError)
            self._problem = str(error) if told else f"An error that nobody expected: {error!r}"
        finally:  # until here no other artifact is opened, and `end` waits
            self._progress = self._opening = None
            if model is not None:
                model.close()

    def _tell(self, told: LoadProgress) -> None:
        assert self._progress is not None, "an opening tells of itself"
        share = told.done / told.total if told.total else None
        self._progress = OpeningProgress(name=self._progress.name, what=_WORDS[told.stage], share=share)
