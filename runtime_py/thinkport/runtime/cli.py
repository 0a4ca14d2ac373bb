"""The verbs of the runtime part. Heavy packages are imported when a verb runs, so `--help` stays quick."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from thinkport.runtime.cli_sharing import register_sharing
from thinkport.runtime.ort import AUTO
from thinkport.runtime.terminal.artifact_here import artifact_here
from thinkport.runtime.terminal.option_values import OFF, cache_dir_of, given, response_format_of, thinking_of, tools_of
from thinkport.runtime.thinking import Thinking

_DEFAULTS = Thinking()
_SAMPLING, _THINKING, _FORM, _RUNNING = "Sampling", "Thinking", "Form of the answer", "Running"

Artifact = Annotated[
    Path,
    typer.Argument(
        metavar="ARTIFACT",
        help="Folder that `thinkport export` wrote, or OWNER/NAME[@REVISION] on the Hub.",
        show_default=False,
    ),
]
System = Annotated[str | None, typer.Option(help="System message.", show_default=False)]
MaxTokens = Annotated[
    int | None, typer.Option(help="Most tokens of a reply, thought included.", show_default="the context")
]
Seed = Annotated[int | None, typer.Option(help="Draws the same tokens again.", show_default="a new one")]

Think = Annotated[
    bool | None,
    typer.Option(
        "--think/--no-think",
        help="Think before the answer, or answer at once.",
        show_default="as the message and the model have it",
        rich_help_panel=_THINKING,
    ),
]
ThinkBudget = Annotated[
    int | None,
    typer.Option(
        help="Most tokens of the thought; then it is closed and the answer comes.",
        show_default="no limit" if _DEFAULTS.budget is None else str(_DEFAULTS.budget),
        rich_help_panel=_THINKING,
    ),
]
SoftFrom = Annotated[
    str | None,
    typer.Option(
        metavar=f"SHARE|{OFF}",
        help="Share of the budget from which closing the thought is made likelier.",
        show_default=OFF if _DEFAULTS.soft_from is None else str(_DEFAULTS.soft_from),
        rich_help_panel=_THINKING,
    ),
]


def _sampling(help: str) -> typer.models.OptionInfo:  # noqa: A002 - typer's name
    option: typer.models.OptionInfo = typer.Option(
        help=help, show_default="the mode's preset", rich_help_panel=_SAMPLING
    )
    return option


Temperature = Annotated[float | None, _sampling("0 takes the likeliest token.")]
TopP = Annotated[float | None, _sampling("Keep the likeliest tokens that together reach this share.")]
TopK = Annotated[int | None, _sampling("Keep this many of the likeliest tokens; 0 keeps all.")]
MinP = Annotated[float | None, _sampling("Keep tokens at least this many times as likely as the likeliest.")]
PresencePenalty = Annotated[float | None, _sampling("Subtracted from the logits of what the reply holds already.")]
RepetitionPenalty = Annotated[float | None, _sampling("Divides the logits of what prompt and reply hold already.")]

Threads = Annotated[
    int | None, typer.Option(help="CPU threads.", show_default="all physical cores", rich_help_panel=_RUNNING)
]
Drafts = Annotated[
    bool,
    typer.Option(
        "--drafts/--no-drafts",
        help="Guess ahead what repeats the prompt or the reply; the same distribution in less time.",
        rich_help_panel=_RUNNING,
    ),
]
Provider = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="auto (the best that is right here), a target of the artifact (cpu, dml, cuda), a graph without its "
        "suffix (dml-plain), or an ONNX Runtime provider.",
        rich_help_panel=_RUNNING,
    ),
]
CacheDir = Annotated[
    str,
    typer.Option(
        "--cache-dir",
        metavar=f"DIR|{OFF}",
        envvar="THINKPORT_CACHE_DIR",
        help="Where this machine keeps what it makes of artifacts: weights as its CPU wants them, and int8 ones for "
        "long prompts. off keeps nothing.",
        show_default="the user's cache folder",
        rich_help_panel=_RUNNING,
    ),
]
Schema = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.json",
        help="The answer is JSON of this schema.",
        show_default=False,
        rich_help_panel=_FORM,
    ),
]
Pattern = Annotated[
    str | None,
    typer.Option("--regex", help="The answer matches this whole.", show_default=False, rich_help_panel=_FORM),
]
Choices = Annotated[
    list[str] | None,
    typer.Option(
        "--choice", help="The answer is one of these; give it several times.", show_default=False, rich_help_panel=_FORM
    ),
]
Tools = Annotated[
    Path | None,
    typer.Option(metavar="FILE.json", help="Tools that the model may call.", show_default=False, rich_help_panel=_FORM),
]


def register(app: typer.Typer) -> None:
    """Add this part's verbs to the console command."""
    command = partial(app.command, rich_help_panel="Run")
    command("generate")(artifact_here(generate))
    command("chat")(artifact_here(chat))
    command("serve")(artifact_here(serve))
    command("cache")(cache)
    register_sharing(app)


def generate(
    artifact: Artifact,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to say to the model.", show_default=False)],
    system: System = None,
    max_tokens: MaxTokens = None,
    seed: Seed = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object when the reply is complete.")] = False,
    think: Think = None,
    think_budget: ThinkBudget = None,
    soft_from: SoftFrom = None,
    schema: Schema = None,
    regex: Pattern = None,
    choice: Choices = None,
    tools: Tools = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    min_p: MinP = None,
    presence_penalty: PresencePenalty = None,
    repetition_penalty: RepetitionPenalty = None,
    threads: Threads = None,
    provider: Provider = "auto",
    cache_dir: CacheDir = AUTO,
    drafts: Drafts = True,
) -> None:
    """Answer one prompt: the reply on stdout as it comes, the figures on stderr."""
    from thinkport.runtime.terminal.generate_program import run_generate

    run_generate(
        artifact,
        prompt,
        provider=provider,
        threads=threads,
        cache_dir=cache_dir_of(cache_dir),
        drafts=drafts,
        system=system,
        thinking=thinking_of(think, think_budget, soft_from),
        tools=tools_of(tools),
        as_json=as_json,
        response_format=response_format_of(schema, regex, choice or ()),
        max_tokens=max_tokens,
        seed=seed,
        sampling=given(
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            min_p=min_p,
            presence_penalty=presence_penalty,
            repetition_penalty=repetition_penalty,
        ),
    )


def chat(
    artifact: Artifact,
    system: System = None,
    max_tokens: MaxTokens = None,
    seed: Seed = None,
    show_thought: Annotated[
        bool, typer.Option("--show-thought", help="Leave thoughts on the screen instead of folding them to a line.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Show answers as text, not as Markdown.")] = False,
    no_history: Annotated[
        bool, typer.Option("--no-history", help="Neither read nor keep what was typed in earlier chats.")
    ] = False,
    think: Think = None,
    think_budget: ThinkBudget = None,
    soft_from: SoftFrom = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    min_p: MinP = None,
    presence_penalty: PresencePenalty = None,
    repetition_penalty: RepetitionPenalty = None,
    threads: Threads = None,
    provider: Provider = "auto",
    cache_dir: CacheDir = AUTO,
    drafts: Drafts = True,
) -> None:
    """Talk to a model, from a terminal or, a line a turn, from a pipe.

    Enter sends, Alt-Enter begins another line, /help shows the commands.
    Ctrl-C ends the thought, once more the reply, once more the program.
    """
    from thinkport.runtime.terminal.chat_program import run_chat

    run_chat(
        artifact,
        provider=provider,
        threads=threads,
        cache_dir=cache_dir_of(cache_dir),
        drafts=drafts,
        system=system,
        thinking=thinking_of(think, think_budget, soft_from),
        unfolded=show_thought,
        plain=plain,
        history=not no_history,
        max_tokens=max_tokens,
        seed=seed,
        sampling=given(
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            min_p=min_p,
            presence_penalty=presence_penalty,
            repetition_penalty=repetition_penalty,
        ),
    )


_MEGABYTE = 1_000_000


def _serving(help: str, *names: str, **more: Any) -> typer.models.OptionInfo:  # noqa: A002 - typer's name
    option: typer.models.OptionInfo = typer.Option(*names, help=help, rich_help_panel="Serving", **more)
    return option


def serve(
    artifact: Artifact,
    host: Annotated[str, _serving("Address to listen on; any but this machine's own needs a key.")] = "127.0.0.1",
    port: Annotated[int | None, _serving("0 takes a free one.", show_default="8080")] = None,
    api_key: Annotated[
        str | None,
        _serving("Clients have to send it as a bearer token.", envvar="THINKPORT_API_KEY", show_default="no key"),
    ] = None,
    name: Annotated[str | None, _serving("The model's name.", show_default="the folder's")] = None,
    parallel: Annotated[int, _serving("Replies written at the same time, in turns; each has a KV cache.")] = 4,
    queue: Annotated[int, _serving("Requests that wait beyond them; more are answered with 429.")] = 32,
    max_tokens: Annotated[
        int | None, _serving("Most tokens of a reply, whatever is asked for.", show_default="the context")
    ] = None,
    memory_limit: Annotated[
        int | None, _serving("Most MB of all KV caches and shared prompts.", show_default="no limit")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        _serving("A further name that requests may call this server by.", show_default="localhost"),
    ] = None,
    allow_origin: Annotated[
        list[str] | None, _serving("A site whose pages may use this server; null for local files.", show_default="none")
    ] = None,
    log_requests: Annotated[
        bool, _serving("Write a line about each request: no prompts, keys or paths.", "--log-requests")
    ] = False,
    sidecar: Annotated[
        bool,
        _serving(
            "For an app that starts this: free port, random key, both in one line of JSON on stdout; "
            "ends when stdin closes or the app ends.",
            "--sidecar",
        ),
    ] = False,
    think: Think = None,
    think_budget: ThinkBudget = None,
    soft_from: SoftFrom = None,
    threads: Threads = None,
    provider: Provider = "auto",
    cache_dir: CacheDir = AUTO,
    drafts: Drafts = True,
) -> None:
    """Serve a model to OpenAI's clients, and a chat page to browsers.

    Chat Completions, Completions, Responses, Models, tokenize, detokenize, health and metrics.
    """
    from thinkport.runtime.terminal.serve_program import run_serve

    run_serve(
        artifact,
        name=name,
        provider=provider,
        threads=threads,
        cache_dir=cache_dir_of(cache_dir),
        drafts=drafts,
        thinking=thinking_of(think, think_budget, soft_from),
        memory_limit=None if memory_limit is None else memory_limit * _MEGABYTE,
        sidecar=sidecar,
        host=host,
        port=port,
        api_key=api_key,
        parallel=parallel,
        queue=queue,
        max_tokens=max_tokens,
        allow_hosts=tuple(allow_host or ()),
        allow_origins=tuple(allow_origin or ()),
        log_requests=log_requests,
    )


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Take away every entry that no process uses.")] = False,
    cache_dir: CacheDir = AUTO,
) -> None:
    """Show what this machine keeps so that artifacts load faster and take less memory; it is made again when needed."""
    from thinkport.runtime.terminal.cache_program import run_cache

    run_cache(cache_dir_of(cache_dir), clear=clear)
