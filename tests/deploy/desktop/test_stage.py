"""Which artifact the window talks to while one takes another's place."""

import asyncio
from pathlib import Path
from shutil import copytree
from typing import Any

from thinkport.deploy.desktop.opening import Recent, open_artifact
from thinkport.deploy.desktop.stage import Stage
from thinkport.runtime.artifact_loading import LoadProgress, LoadStage
from thinkport.runtime.server import ServerSettings


def test_an_opening_tells_what_loading_tells(nano_artifact: Path, tmp_path: Path) -> None:
    folder = copytree(nano_artifact, tmp_path / "nano")
    told: list[LoadProgress] = []
    recent = Recent(tmp_path / "recent.json")
    open_artifact(folder, recent, provider="cpu", progress=told.append).close()
    assert {one.stage for one in told} == {LoadStage.CHECK, LoadStage.GRAPH}
    assert told[-1] == LoadProgress(stage=LoadStage.GRAPH)
    assert recent.all() == [folder]


class EndingSlowly:
    """A served model of before, and its app's lifespan, which ends once it is let go."""

    def __init__(self) -> None:
        self.ending, self.may_end, self.closed = asyncio.Event(), asyncio.Event(), False

    async def __aexit__(self, *_: object) -> None:
        self.ending.set()
        await self.may_end.wait()

    def close(self) -> None:
        self.closed = True


def test_nothing_is_opened_and_nothing_lost_while_the_model_before_ends(nano_artifact: Path, tmp_path: Path) -> None:
    async def run() -> None:
        stage = Stage(Recent(tmp_path / "recent.json"), ServerSettings(port=0), provider="cpu")
        before: Any = EndingSlowly()
        stage._served = (before, before)
        stage.open(nano_artifact)
        await before.ending.wait()
        stage.open(tmp_path / "another")
        assert stage.state()["opening"]["progress"]["name"] == nano_artifact.name
        ended = asyncio.ensure_future(stage.end())  # as of a window that is closed now
        await asyncio.sleep(0)
        before.may_end.set()
        await asyncio.wait_for(ended, 60)
        assert before.closed
        assert not any((stage.app, stage._served, stage._opening))

    asyncio.run(run())
