"""The verbs for searching: vectors of texts, and scores of documents. What they call is imported when they run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from thinkport.runtime.cli.cli_options import Artifact, LoadingOptions, argument
from thinkport.runtime.errors import InputError

Files = Annotated[
    list[Path] | None,
    argument(metavar="[FILE]...", help="Texts, one a line; standard input without a file. Blank lines are left out."),
]


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How texts are read."""

    whole: Annotated[bool, typer.Option("--whole", help="Take each file, or standard input, as one text.")] = False
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Leave out the end of a text that is too long, rather than refuse it.")
    ] = False


def embed(
    *,
    artifact: Artifact,
    files: Files = None,
    query: Annotated[
        bool, typer.Option("--query", help="The texts are queries, with the checkpoint's own instruction.")
    ] = False,
    instruction: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The texts are queries for this task.", show_default="they are documents"),
    ] = None,
    dimensions: Annotated[
        int | None,
        typer.Option(metavar="N", help="The first N dimensions only, of length 1 again.", show_default="all"),
    ] = None,
    reading: ReadingOptions,
    running: LoadingOptions,
) -> None:
    """Make vectors of texts with an embedding artifact: a line of JSON each, in their order."""
    from thinkport.runtime.terminal.search_programs import run_embed

    if query and instruction is not None:
        raise InputError("--query takes the checkpoint's own instruction and --instruction another: leave one out")
    run_embed(
        artifact,
        files or (),
        running=running.loading(),
        query=query,
        instruction=instruction,
        dimensions=dimensions,
        **vars(reading),
    )


def rerank(
    *,
    artifact: Artifact,
    query: Annotated[str, argument(metavar="QUERY", help="What the documents are to answer.")],
    files: Files = None,
    instruction: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What is sought.", show_default="the checkpoint's own")
    ] = None,
    top: Annotated[int | None, typer.Option(metavar="N", help="The best N only.", show_default="all")] = None,
    reading: ReadingOptions,
    running: LoadingOptions,
) -> None:
    """Score documents for a query with a reranking artifact: a line of JSON each, the best first."""
    from thinkport.runtime.terminal.search_programs import run_rerank

    if top is not None and top < 1:
        raise InputError(f"--top is {top}, expected 1 or more")
    run_rerank(
        artifact, query, files or (), running=running.loading(), instruction=instruction, top=top, **vars(reading)
    )
