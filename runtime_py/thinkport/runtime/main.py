"""The console command: collects every part's verbs and turns errors into messages and exit codes.

Knows the entry-point group `thinkport.commands` only; must not import any part above the runtime.
"""

import os
import sys
from importlib.metadata import entry_points

import typer

from thinkport.runtime.errors import ThinkportError

INTERRUPTED = 130  # the shell's code for a program ended by Ctrl-C


def build_app() -> typer.Typer:
    """The command line with the verbs of every installed part."""
    app = typer.Typer(
        name="thinkport",
        help="Qwen3 on people's computers: export a checkpoint, run it, switch its thinking.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for entry in sorted(entry_points(group="thinkport.commands"), key=lambda e: e.name):
        entry.load()(app)
    return app


def main() -> None:
    """Run the command line; the only place that prints errors and exits."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        build_app()()
    except ThinkportError as error:
        sys.stderr.write(f"thinkport: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("thinkport: interrupted\n")
        sys.exit(INTERRUPTED)
