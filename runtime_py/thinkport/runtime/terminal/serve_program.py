"""What `thinkport serve` does: loads a model, listens, and says where."""

import json
import secrets
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from thinkport.runtime.extras import require
from thinkport.runtime.model import Model
from thinkport.runtime.terminal.warning_lines import tidy_warnings
from thinkport.runtime.thinking.thinking import Thinking


def run_serve(
    artifact: Path,
    *,
    name: str | None,
    provider: str,
    threads: int | None,
    cache_dir: str | None,
    drafts: bool,
    thinking: Thinking,
    memory_limit: int | None,
    sidecar: bool,
    **options: object,
) -> None:
    """Serve until told to end. `options` are those of `ServerSettings`.

    A sidecar listens on a free port with a key of its own, says both in one line of JSON on stdout, and ends with the
    process that started it.
    """
    require("server", "starlette", "uvicorn", "prometheus_client")
    from thinkport.runtime.server.parent import Parent
    from thinkport.runtime.server.run import listen, serve
    from thinkport.runtime.server.settings import ServerSettings

    if sidecar:
        options |= {"port": options["port"] or 0, "api_key": options["api_key"] or secrets.token_urlsafe(32)}
    elif options["port"] is None:
        options["port"] = ServerSettings.port
    settings = ServerSettings(**options)  # type: ignore[arg-type]  # the command line's own, by name
    parent = Parent() if sidecar else None
    bound = listen(settings)  # before loading, so that a port that is taken is told at once
    settings = replace(settings, port=bound.getsockname()[1])
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    with (
        bound,
        tidy_warnings(),
        Model.load(
            artifact,
            provider=provider,
            threads=threads,
            cache_dir=cache_dir,
            drafts=drafts,
            keep_prefill=True,
            thinking=thinking,
            memory_limit=memory_limit,
        ) as model,
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
            console.print(f"{served} at {url} (a chat page there, OpenAI's interfaces at {url}/v1)")
            console.print(f"{model.provider_report.chosen or 'No graph was chosen'}. Ctrl-C ends.", style="dim")

        serve(model, served, settings, bound, on_ready=ready, until=parent.gone if parent else None)
