"""The verbs of the runtime part. Heavy packages are imported when a verb runs, so `--help` stays quick."""

from pathlib import Path
from typing import Annotated

import typer

Artifact = Annotated[Path, typer.Argument(help="Folder that `thinkport export` wrote.", show_default=False)]
Think = Annotated[bool | None, typer.Option("--think/--no-think", help="Think before the answer, or answer at once.")]
MaxTokens = Annotated[int | None, typer.Option(help="Most tokens of a reply, thought included.")]
Seed = Annotated[int | None, typer.Option(help="Draws the same tokens again.")]
System = Annotated[str | None, typer.Option(help="System message.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; all physical cores if not given.")]
Provider = Annotated[str, typer.Option(help="auto, a target of the artifact, or an ONNX Runtime provider.")]
Temperature = Annotated[float | None, typer.Option(help="0 is greedy. The mode's preset if not given.")]
TopP = Annotated[float | None, typer.Option(help="Keep the likeliest tokens that together reach this share.")]
TopK = Annotated[int | None, typer.Option(help="Keep this many of the likeliest tokens; 0 keeps all.")]


def register(app: typer.Typer) -> None:
    """Add this part's verbs to the console command."""
    app.command("generate")(generate)
    app.command("chat")(chat)


def generate(
    artifact: Artifact,
    prompt: Annotated[str, typer.Argument(help="What to say to the model.", show_default=False)],
    think: Think = None,
    max_tokens: MaxTokens = None,
    seed: Seed = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    system: System = None,
    threads: Threads = None,
    provider: Provider = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object when the reply is complete.")] = False,
) -> None:
    """Answer one prompt: the reply on stdout as it comes, the figures on stderr."""
    from thinkport.runtime.cli_generate import run_generate

    run_generate(
        artifact,
        prompt,
        system=system,
        threads=threads,
        provider=provider,
        as_json=as_json,
        thinking=think,
        max_tokens=max_tokens,
        seed=seed,
        sampling=given(temperature=temperature, top_p=top_p, top_k=top_k),
    )


def chat(
    artifact: Artifact,
    think: Think = None,
    max_tokens: MaxTokens = None,
    seed: Seed = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    system: System = None,
    threads: Threads = None,
    provider: Provider = "auto",
) -> None:
    """Talk to a model, a line a turn, from a terminal or a pipe. Ctrl-C ends a reply, /exit the chat."""
    from thinkport.runtime.cli_chat import run_chat

    run_chat(
        artifact,
        system=system,
        threads=threads,
        provider=provider,
        thinking=think,
        max_tokens=max_tokens,
        seed=seed,
        sampling=given(temperature=temperature, top_p=top_p, top_k=top_k),
    )


def given(*, top_k: int | None, **values: float | None) -> dict[str, float | None]:
    """The options that were given; the mode's preset has the others. As in presets, a top_k of 0 is no limit."""
    limit = {} if top_k is None else {"top_k": top_k or None}
    return {name: value for name, value in values.items() if value is not None} | limit
