"""The verb that serves a model over HTTP. What it calls is imported when it runs."""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated

import typer

from thinkport.runtime.cli.cli_options import Artifact, RunningOptions, ThinkingOptions
from thinkport.runtime.terminal.option_values import thinking_of

_serving = partial(typer.Option, rich_help_panel="Serving")


@dataclass(frozen=True, kw_only=True)
class ServingOptions:
    """Where the server listens, who may use it, and how much it takes on."""

    host: Annotated[str, _serving(help="Address to listen on; any but this machine's own needs a key.")] = "127.0.0.1"
    port: Annotated[int | None, _serving(help="0 takes a free one.", show_default="8080")] = None
    api_key: Annotated[
        str | None,
        _serving(help="Clients have to send it as a bearer token.", envvar="THINKPORT_API_KEY", show_default="no key"),
    ] = None
    name: Annotated[str | None, _serving(help="The model's name.", show_default="the folder's")] = None
    parallel: Annotated[int, _serving(help="Replies written at the same time, in turns; each has a KV cache.")] = 4
    queue: Annotated[int, _serving(help="Requests that wait beyond them; more are answered with 429.")] = 32
    max_tokens: Annotated[
        int | None, _serving(help="Most tokens of a reply, whatever is asked for.", show_default="the context")
    ] = None
    memory_limit: Annotated[
        int | None, _serving(help="Most MB of all KV caches and shared prompts.", show_default="no limit")
    ] = None
    allow_hosts: Annotated[
        list[str] | None,
        _serving(
            "--allow-host", help="A further name that requests may call this server by.", show_default="localhost"
        ),
    ] = None
    allow_origins: Annotated[
        list[str] | None,
        _serving(
            "--allow-origin", help="A site whose pages may use this server; null for local files.", show_default="none"
        ),
    ] = None
    log_requests: Annotated[
        bool, _serving("--log-requests", help="Write a line about each request: no prompts, keys or paths.")
    ] = False
    sidecar: Annotated[
        bool,
        _serving(
            "--sidecar",
            help="For an app that starts this: free port, random key, both in one line of JSON on stdout; "
            "ends when stdin closes or the app ends.",
        ),
    ] = False


def serve(*, artifact: Artifact, serving: ServingOptions, thinking: ThinkingOptions, running: RunningOptions) -> None:
    """Serve a model to OpenAI's clients, and a chat page to browsers.

    Chat Completions, Completions, Responses, Models, tokenize, detokenize, health and metrics.
    """
    from thinkport.runtime.terminal.serve_program import run_serve

    run_serve(artifact, running=running.loading(), thinking=thinking_of(**vars(thinking)), **asdict(serving))
