"""The verbs of the runtime part. Heavy packages are imported when a verb runs, so `--help` stays quick."""

from functools import partial
from typing import Annotated

import typer

from thinkport.runtime.cli.cli_options import (
    Artifact,
    CacheDir,
    Choices,
    Drafts,
    MaxTokens,
    MinP,
    Pattern,
    PresencePenalty,
    Provider,
    RepetitionPenalty,
    Schema,
    Seed,
    SoftFrom,
    System,
    Temperature,
    Think,
    ThinkBudget,
    Threads,
    Tools,
    TopK,
    TopP,
)
from thinkport.runtime.cli.cli_serving import register_serving
from thinkport.runtime.cli.cli_sharing import register_sharing
from thinkport.runtime.providers.ort import AUTO
from thinkport.runtime.terminal.artifact_here import artifact_here
from thinkport.runtime.terminal.option_values import (
    cache_dir_of,
    given,
    prompt_of,
    reply_thinking_of,
    response_format_of,
    thinking_of,
    tools_of,
)


def register(app: typer.Typer) -> None:
    """Add this part's verbs to the console command."""
    command = partial(app.command, rich_help_panel="Run")
    command("generate")(artifact_here(generate))
    command("chat")(artifact_here(chat))
    register_serving(app)
    command("cache")(cache)
    register_sharing(app)


def generate(
    artifact: Artifact,
    prompt: Annotated[
        str,
        typer.Argument(
            metavar="PROMPT", help="What to say to the model; - reads it from standard input.", show_default=False
        ),
    ],
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
        prompt_of(prompt),
        provider=provider,
        threads=threads,
        cache_dir=cache_dir_of(cache_dir),
        drafts=drafts,
        system=system,
        thinking=reply_thinking_of(think, think_budget, soft_from),
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


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Take away every entry that no process uses.")] = False,
    cache_dir: CacheDir = AUTO,
) -> None:
    """Show what this machine keeps so that artifacts load faster and take less memory; it is made again when needed."""
    from thinkport.runtime.terminal.cache_program import run_cache

    run_cache(cache_dir_of(cache_dir), clear=clear)
