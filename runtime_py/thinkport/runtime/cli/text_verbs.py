"""The verbs of the runtime part, and the options of `serve`. Heavy packages are imported when a verb runs, so `--help`
stays quick.
"""

import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from thinkport.runtime.cli.batch_verb import batch
from thinkport.runtime.cli.cli_options import (
    Artifact,
    FormOptions,
    RequestOptions,
    RunningOptions,
    SamplingOptions,
    ThinkingOptions,
    argument,
    grouped,
)
from thinkport.runtime.cli.search_verbs import embed, rerank
from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.errors import InputError
from thinkport.runtime.terminal.option_values import (
    artifact_here,
    given,
    prompt_of,
    reply_thinking_of,
    response_format_of,
    thinking_of,
    tools_of,
)

_ROWS = RowSettings()
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
    max_rows: Annotated[
        int, _serving(help="Replies written at the same time; their steps are shared, and each has a KV cache.")
    ] = _ROWS.max_rows
    prompt_share: Annotated[
        float, _serving(help="Share of the time that new prompts get while replies are written.")
    ] = _ROWS.prompt_share
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
            "--allow-origin",
            help="A site whose pages may use this server; null for local files, * for every page that has the key.",
            show_default="none",
        ),
    ] = None
    idle_unload: Annotated[
        float | None,
        _serving(
            metavar="MINUTES",
            help="Unload the model after so long without a request; the next one loads it again.",
            show_default="never",
        ),
    ] = None
    grace: Annotated[
        float, _serving(metavar="SECONDS", help="How long replies go on once the server was told to end.")
    ] = 10.0
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

    Chat Completions, Completions, Responses, Embeddings, rerank, Models, tokenize, detokenize, health and metrics.
    """
    from thinkport.runtime.terminal.serve_program import run_serve

    run_serve(artifact, running=running.loading(), thinking=thinking_of(**vars(thinking)), **asdict(serving))


def register(app: typer.Typer) -> None:
    """Add this part's verbs to the console command."""
    command = partial(app.command, rich_help_panel="Run")
    command("generate")(artifact_here(grouped(generate)))
    command("chat")(artifact_here(grouped(chat)))
    command("batch")(artifact_here(grouped(batch)))
    command("serve")(artifact_here(grouped(serve)))
    command("embed")(artifact_here(grouped(embed)))
    command("rerank")(artifact_here(grouped(rerank)))
    command("list")(list_artifacts)
    app.command("push", rich_help_panel="Share")(push)
    app.command("pull", rich_help_panel="Share")(pull)


def generate(
    *,
    artifact: Artifact,
    prompt: Annotated[
        str, argument(metavar="PROMPT", help="What to say to the model; - reads it from standard input.")
    ],
    reply: RequestOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object when the reply is complete.")] = False,
    hide_thought: Annotated[
        bool, typer.Option("--hide-thought", help="Show the answer only; the thought is written nowhere.")
    ] = False,
    thinking: ThinkingOptions,
    form: FormOptions,
    sampling: SamplingOptions,
    running: RunningOptions,
) -> None:
    """Answer one prompt: the reply on stdout as it comes, the figures on stderr.

    In a pipe, stdout has the answer alone; the thought goes to stderr.
    """
    from thinkport.runtime.terminal.reply_programs import run_generate

    if as_json and hide_thought:
        raise InputError("--json has the thought as a field of its own, and --hide-thought hides it: leave one out")
    run_generate(
        artifact,
        prompt_of(prompt),
        running=running.loading(),
        thinking=reply_thinking_of(**vars(thinking)),
        tools=tools_of(form.tools),
        as_json=as_json,
        hide_thought=hide_thought,
        response_format=response_format_of(form.schema, form.regex, form.choice or ()),
        sampling=given(**vars(sampling)),
        **vars(reply),
    )


def chat(
    *,
    artifact: Artifact,
    reply: RequestOptions,
    show_thought: Annotated[
        bool, typer.Option("--show-thought", help="Leave thoughts on the screen instead of folding them to a line.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Show answers as text, not as Markdown.")] = False,
    no_history: Annotated[
        bool, typer.Option("--no-history", help="Neither read nor keep what was typed in earlier chats.")
    ] = False,
    thinking: ThinkingOptions,
    sampling: SamplingOptions,
    running: RunningOptions,
) -> None:
    """Talk to a model, from a terminal or, a line a turn, from a pipe.

    Enter sends, Alt-Enter begins another line, /help shows the commands.
    Ctrl-C ends the thought, once more the reply, once more the program.
    """
    from thinkport.runtime.terminal.reply_programs import run_chat

    run_chat(
        artifact,
        running=running.loading(),
        thinking=thinking_of(**vars(thinking)),
        unfolded=show_thought,
        plain=plain,
        history=not no_history,
        sampling=given(**vars(sampling)),
        **vars(reply),
    )


def list_artifacts(
    folders: Annotated[
        list[Path] | None, argument(metavar="[FOLDER]...", help="Where to look; the current folder without one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write a JSON list.")] = False,
) -> None:
    """List the artifacts on this machine: in folders, up to two levels below, and in the Hub's local cache."""
    from thinkport.runtime.terminal.artifact_list import run_list

    run_list(folders or (), as_json=as_json)


def push(
    artifact: Annotated[Path, argument(metavar="ARTIFACT", help="Folder that `thinkport export` wrote.")],
    repository: Annotated[str, argument(metavar="OWNER/NAME", help="Repository on the Hub; made if missing.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    branch: Annotated[
        str | None, typer.Option(metavar="NAME", help="Branch to commit to; made if missing.", show_default="main")
    ] = None,
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="The commit's message.", show_default="the artifact's name")
    ] = None,
    sign: Annotated[
        Path | None, typer.Option("--sign", metavar="FILE", help="Sign the manifest with this secret key of minisign.")
    ] = None,
) -> None:
    """Put an artifact on the Hugging Face Hub in one commit, after checking that it is whole.

    Log in with `hf auth login` first, or set HF_TOKEN.

    Ends with 0, 2 where the Hub refuses, 3 where the artifact isn't whole.
    """
    from getpass import getpass

    from thinkport.runtime import hub
    from thinkport.runtime.hub.minisign import SecretKey

    key = None if sign is None else SecretKey.read(sign, lambda: getpass("Password of the secret key: "))
    options: dict[str, Any] = {"private": private, "branch": branch, "message": message, "sign": key}
    revision = hub.push(artifact, repository, **options, bars=sys.stderr.isatty())
    sys.stdout.write(f"{repository}@{revision}\n")


def pull(
    repository: Annotated[
        str, argument(metavar="OWNER/NAME[@REVISION]", help="Repository on the Hub, and a branch, tag or commit.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="A new folder for it.", show_default="the Hub's local cache"
        ),
    ] = None,
    signed_by: Annotated[
        str | None, typer.Option(metavar="KEY", help="Refuse it unless this public key of minisign signed it.")
    ] = None,
) -> None:
    """Fetch an artifact from the Hugging Face Hub, and hold every file against the sha256 that its manifest records.

    Prints the folder. A download that broke off goes on where it stopped; without a network the local cache serves.

    Ends with 0, 2 for a request that can't be met, 3 where the Hub gives no whole artifact.
    """
    from thinkport.runtime import hub
    from thinkport.runtime.terminal.transfer_view import transfer_shown

    with transfer_shown(f"Fetching {repository}") as progress:
        pulled = hub.pull(repository, output, progress=progress, signed_by=signed_by)
    sys.stderr.write(f"{pulled.id}@{pulled.revision}\n")
    sys.stdout.write(f"{pulled.folder}\n")
