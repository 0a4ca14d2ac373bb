"""What `thinkport serve` does: loads a model, listens, and says where."""

import json
import secrets
import sys
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from rich.console import Console

from thinkport.runtime.artifact.manifest import Task
from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.errors import InputError
from thinkport.runtime.extras import require
from thinkport.runtime.model import Model
from thinkport.runtime.terminal.warning_lines import tidy_warnings
from thinkport.runtime.thinking.thinking import Thinking

_MEGABYTE = 1_000_000
_OFFERED = {
    Task.CHAT: "OpenAI's interfaces at {url}/v1",
    Task.EMBEDDING: "POST {url}/v1/embeddings",
    Task.RERANK: "POST {url}/v1/rerank",
}

_TRYING = (
    "Graphs for a graphics card are tried beside it; a reply that begins after that, while no other is written, takes "
    "the fastest that is right. GET /health says which."
)


def run_serve(
    artifact: Path,
    *,
    running: dict[str, Any],
    thinking: Thinking,
    name: str | None,
    memory_limit: int | None,
    max_rows: int,
    prompt_share: float,
    sidecar: bool,
    idle_unload: float | None,
    grace: float,
    allow_hosts: list[str] | None,
    allow_origins: list[str] | None,
    **options: Any,
) -> None:
    """Serve until told to end.

    `running` are options of `Model.load`, `options` those of `ServerSettings`; `memory_limit` is in MB,
    `idle_unload` in minutes.

    A sidecar listens on a free port with a key of its own, says both in one line of JSON on stdout, and ends with the
    process that started it.
    """
    require("server", "starlette", "uvicorn", "prometheus_client")
    from thinkport.runtime.server.interface.page import how_to_build, is_built
    from thinkport.runtime.server.parent import Parent
    from thinkport.runtime.server.run import listen, serve
    from thinkport.runtime.server.settings import ServerSettings

    if sidecar:
        options |= {"port": options["port"] or 0, "api_key": options["api_key"] or secrets.token_urlsafe(32)}
    elif options["port"] is None:
        options["port"] = ServerSettings.port
    if idle_unload is not None and not 0 < idle_unload < inf:
        raise InputError(
            f"--idle-unload is {idle_unload:g} minutes, expected more than 0, or no option to keep the model"
        )
    options["grace_seconds"] = grace
    options["idle_seconds"] = None if idle_unload is None else idle_unload * 60
    rows = RowSettings(max_rows=max_rows, prompt_share=prompt_share)
    settings = ServerSettings(allow_hosts=tuple(allow_hosts or ()), allow_origins=tuple(allow_origins or ()), **options)
    limit = None if memory_limit is None else memory_limit * _MEGABYTE
    parent = Parent() if sidecar else None
    bound = listen(settings)  # before loading, so that a port that is taken is told at once
    settings = replace(settings, port=bound.getsockname()[1])
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    with (
        bound,
        tidy_warnings(),
        Model.load(artifact, thinking=thinking, memory_limit=limit, rows=rows, **running) as model,
    ):
        served = name or artifact.resolve().name

        def ready() -> None:
            url = f"http://{host}:{settings.port}"
            if sidecar:
                line = {"port": settings.port, "api_key": settings.api_key, "url": url, "model": served}
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()
                return
            console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
            paged = model.manifest.task is Task.CHAT and is_built()
            offered = f"a chat page there, {_OFFERED[Task.CHAT]}" if paged else _OFFERED[model.manifest.task]
            console.print(f"{served} at {url} ({offered.format(url=url)})")
            if model.manifest.task is Task.CHAT and not paged:
                console.print(how_to_build(), style="dim")
            if model.provider_report.trying:
                console.print(_TRYING, style="dim")
            console.print(f"{model.provider_report.chosen or 'No graph was chosen'}. Ctrl-C ends.", style="dim")

        serve(model, served, settings, bound, on_ready=ready, until=parent.gone if parent else None)
