"""The console command: collects every part's verbs and turns errors into messages and exit codes.

Knows the entry-point group `thinkport.commands` only; must not import any part above the runtime.
"""

import os
import sys
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from thinkport.runtime.errors import ThinkportError
from thinkport.runtime.providers.program import TRIAL_VERB
from thinkport.runtime.terminal.controls import harmless
from thinkport.runtime.terminal.interrupts import INTERRUPTED
from thinkport.runtime.terminal.lookalikes import use_lookalikes


def build_app() -> typer.Typer:
    """The command line with the verbs of every installed part."""
    app = typer.Typer(
        name="thinkport",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)  # with a callback, even a single verb stays a sub-command
    for entry in sorted(entry_points(group="thinkport.commands"), key=lambda e: (e.name != "runtime", e.name)):
        entry.load()(app)
    return app


def show_version(asked: bool) -> None:
    """Print the version and end, if asked to."""
    if asked:
        sys.stdout.write(f"thinkport {version('thinkport')}\n")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Qwen3 on people's computers: export a checkpoint, run it, switch its thinking."""


def main() -> None:
    """Run the command line; the only place that prints errors and exits."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    use_lookalikes()
    try:
        if sys.argv[1:2] == [TRIAL_VERB]:
            from thinkport.runtime.cli.trial_program import run

            run(sys.argv[2:])
            return
        build_app()()
    except ThinkportError as error:
        sys.stderr.write(f"thinkport: {harmless(str(error))}\n")  # it may name what strangers named
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk behind a pipe, most of all; what is open for writing is named
        where = f": {error.filename}" if error.filename else ""
        sys.stderr.write(f"thinkport: {harmless(f'{error.strerror or error}{where}')}\n")
        sys.exit(1)
    except (KeyboardInterrupt, ImportError) as error:
        if isinstance(error, ImportError) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise  # a compiled module that is interrupted while it starts says that it can't be imported
        sys.stderr.write("thinkport: interrupted\n")
        sys.exit(INTERRUPTED)
