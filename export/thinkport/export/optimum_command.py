"""`optimum-cli export thinkport MODEL OUT`: the options of `thinkport export`, under Optimum's command.

Optimum parses with argparse, so the options are taken over from the command itself, once, and stay the same. What
Optimum loads at its start is this module; torch is imported when the command runs.
"""

import sys
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from typing import Any

import typer
from optimum.commands.base import BaseOptimumCLICommand, CommandInfo
from optimum.commands.export.base import ExportCommand

from thinkport.export.cli import export_command
from thinkport.runtime.errors import ThinkportError


class ThinkportExportCommand(BaseOptimumCLICommand):  # type: ignore[misc, unused-ignore]
    """Optimum's side of `thinkport export`; the output folder is its second argument."""

    COMMAND = CommandInfo(
        name="thinkport", help="Export a Qwen3, Qwen2 or Llama checkpoint to an artifact that thinkport runs."
    )

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """Give Optimum's parser the arguments and options of `thinkport export`."""
        parser.add_argument(
            "checkpoint", metavar="MODEL", help="A local folder, a .gguf file, or a Hub id: owner/name@revision."
        )
        parser.add_argument("output", metavar="OUT", help="The artifact's folder.")
        for option in _options():
            _add(parser, option)

    def run(self) -> None:
        """Export; an error is a line on stderr and its exit code, as under `thinkport`."""
        try:
            _command().main(arguments_of(self.args), prog_name="optimum-cli export thinkport", standalone_mode=False)
        except (ThinkportError, typer.TyperException) as error:
            said = error.format_message() if isinstance(error, typer.TyperException) else error
            sys.stderr.write(f"thinkport: {said}\n")
            sys.exit(error.exit_code)


def arguments_of(parsed: Namespace) -> list[str]:
    """What was parsed, as `thinkport export` takes it; options that were not given are left to their defaults."""
    given: dict[str, Any] = vars(parsed)
    line = [given["checkpoint"], "--output", given["output"]]
    for option in _options():
        value = given.get(option.name or "")
        if value is None:
            continue
        if option.is_flag:
            line.append(option.opts[0] if value else option.secondary_opts[0])
            continue
        line += [option.opts[0], str(value)]
    return line


def _command() -> Any:
    app = typer.Typer(add_completion=False)
    app.command()(export_command)
    return typer.main.get_command(app)


def _options() -> list[Any]:
    return [one for one in _command().params if one.param_type_name == "option" and one.name not in {"output", "help"}]


def _add(parser: ArgumentParser, option: Any) -> None:
    """One option in argparse's terms; None stands for one that was not given."""
    shared = {"dest": option.name, "default": None, "help": (option.help or "").replace("%", "%%")}
    if option.secondary_opts:
        parser.add_argument(*option.opts, action=BooleanOptionalAction, **shared)
    elif option.is_flag:
        parser.add_argument(*option.opts, action="store_const", const=True, **shared)
    else:
        parser.add_argument(*option.opts, metavar=option.metavar or "VALUE", **shared)


REGISTER_COMMANDS = [(ThinkportExportCommand, ExportCommand)]
