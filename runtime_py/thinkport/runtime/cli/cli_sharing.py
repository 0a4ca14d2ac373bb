"""The verbs that share artifacts: push and pull. What they call is imported when they run."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def push_command(
    artifact: Annotated[
        Path, typer.Argument(metavar="ARTIFACT", help="Folder that `thinkport export` wrote.", show_default=False)
    ],
    repository: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hub; made if missing.", show_default=False)
    ],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    branch: Annotated[
        str | None, typer.Option(metavar="NAME", help="Branch to commit to; made if missing.", show_default="main")
    ] = None,
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="The commit's message.", show_default="the artifact's name")
    ] = None,
) -> None:
    """Put an artifact on the Hugging Face Hub in one commit, after checking that it is whole.

    Log in with `hf auth login` first, or set HF_TOKEN.

    Ends with 0, 2 where the Hub refuses, 3 where the artifact isn't whole.
    """
    from thinkport.runtime.hub import push

    revision = push(artifact, repository, private=private, branch=branch, message=message, bars=sys.stderr.isatty())
    sys.stdout.write(f"{repository}@{revision}\n")


def pull_command(
    repository: Annotated[
        str,
        typer.Argument(
            metavar="OWNER/NAME[@REVISION]",
            help="Repository on the Hub, and a branch, tag or commit.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="A new folder for it.", show_default="the Hub's local cache"
        ),
    ] = None,
) -> None:
    """Fetch an artifact from the Hugging Face Hub, and hold every file against the sha256 that its manifest records.

    Prints the folder. A download that broke off goes on where it stopped; without a network the local cache serves.

    Ends with 0, 2 for a request that can't be met, 3 where the Hub gives no whole artifact.
    """
    from thinkport.runtime.hub import pull
    from thinkport.runtime.terminal.transfer_view import transfer_shown

    with transfer_shown(f"Fetching {repository}") as progress:
        pulled = pull(repository, output, progress=progress)
    sys.stderr.write(f"{pulled.id}@{pulled.revision}\n")
    sys.stdout.write(f"{pulled.folder}\n")
