"""The verb `batch`: replies to the prompts of a file. What it calls is imported when it runs."""

import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from thinkport.runtime.cli.cli_options import (
    Artifact,
    FormOptions,
    RequestOptions,
    RunningOptions,
    SamplingOptions,
    ThinkingOptions,
    argument,
)
from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.terminal.interrupts import INTERRUPTED
from thinkport.runtime.terminal.option_values import given, reply_thinking_of, response_format_of, tools_of


def batch(
    *,
    artifact: Artifact,
    prompts: Annotated[
        Path,
        argument(
            metavar="PROMPTS",
            help="A .jsonl of objects with id and prompt or messages, or of OpenAI's batch requests; a .csv with a "
            "column prompt; or a .txt of a prompt a line.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="OUT.jsonl", help="A line a reply; what is there already is kept."),
    ],
    reply: RequestOptions,
    thinking: ThinkingOptions,
    form: FormOptions,
    sampling: SamplingOptions,
    running: RunningOptions,
    max_rows: Annotated[
        int,
        typer.Option(
            rich_help_panel="Running",
            help="Rows answered at a time; their steps are shared, and each has a KV cache.",
        ),
    ] = RowSettings.max_rows,
) -> None:
    """Answer every prompt of a file, a line of JSON each: the reply, why its parts ended, tokens and seconds.

    A run that was stopped or killed goes on when the same command is given again.
    With --seed, each row has a seed of its own, made of that and of its id.

    Ends with 0, 1 where a row failed: its line says why.
    """
    options = {
        "thinking": reply_thinking_of(**vars(thinking)),
        "tools": tools_of(form.tools),
        "response_format": response_format_of(form.schema, form.regex, form.choice or ()),
        "sampling": given(**vars(sampling)) or None,
        **vars(reply),
    }
    loading = running.loading() | {"rows": RowSettings(max_rows=max_rows)}
    if not _run(artifact, prompts, output, loading=loading, options=options):
        raise typer.Exit(1)


def _run(artifact: Path, prompts: Path, output: Path, *, loading: dict[str, Any], options: dict[str, Any]) -> bool:
    """Whether every row was answered."""
    from rich.console import Console

    from thinkport.runtime.artifact.manifest import fingerprint, hash_file, read_manifest
    from thinkport.runtime.artifact.task_check import check_replies
    from thinkport.runtime.batch.batch_output import BatchOutput
    from thinkport.runtime.batch.batch_view import BatchView
    from thinkport.runtime.batch.prompt_rows import read_rows
    from thinkport.runtime.batch.row_replies import RowReplies
    from thinkport.runtime.model import Model
    from thinkport.runtime.terminal.warning_lines import tidy_warnings

    check_replies(read_manifest(artifact))
    rows = read_rows(prompts)
    form = options["response_format"]
    settings = {"artifact": fingerprint(artifact), "prompts": hash_file(prompts), **options}
    settings |= {"thinking": asdict(options["thinking"]), "response_format": None if form is None else asdict(form)}
    with BatchOutput(output, settings, {str(row.id) for row in rows}) as lines:
        view = BatchView(Console(stderr=True), lines, len(rows))
        left = [row for row in rows if str(row.id) not in lines.done]
        try:
            if left:
                with tidy_warnings(), Model.load(artifact, thinking=options["thinking"], **loading) as model:
                    replies = RowReplies(model, name=artifact.resolve().name, **options)
                    replies.check(left)
                    with view, closing(replies.lines(left)) as found:
                        for line in found:
                            lines.add(line)
                            view.written(line)
        except KeyboardInterrupt:
            sys.stderr.write(f"thinkport: interrupted: {view.told()}; the same command goes on\n")
            raise typer.Exit(INTERRUPTED) from None
        sys.stderr.write(f"{view.told()}: {output}\n")
        return not lines.failed
