"""The verbs of the export part. Heavy packages are imported when a verb runs, so `--help` stays quick."""

from pathlib import Path
from typing import Annotated

import typer

_PACKAGES = ("torch", "transformers", "onnx", "onnx_ir", "onnxscript", "huggingface_hub", "onnxruntime", "psutil")


def register(app: typer.Typer) -> None:
    """Add this part's verbs to the console command."""
    app.command(name="export")(export_command)
    app.command(name="recipes")(recipes_command)


def export_command(
    checkpoint: Annotated[
        str,
        typer.Argument(metavar="CHECKPOINT", help="A local folder, or a Hub id: owner/name or owner/name@revision."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The artifact's folder.")],
    target: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Where it is to run: cpu. Everywhere if not given.")
    ] = None,
    precision: Annotated[str, typer.Option(help="int4, or fp32 to stop before quantizing.")] = "int4",
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="How to quantize; `thinkport recipes` lists them.")
    ] = None,
    kv: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="The KV cache: int8, fp16 or fp32. Otherwise the target's best (cpu: int8), or fp32 with "
            "--precision fp32 or --no-fuse.",
        ),
    ] = None,
    fuse: Annotated[bool, typer.Option("--fuse/--no-fuse", help="Fuse the traced graph's operators.")] = True,
    certificate: Annotated[
        bool,
        typer.Option("--certificate/--no-certificate", help="Hold the artifact against its checkpoint when written."),
    ] = True,
    think: Annotated[
        bool | None,
        typer.Option("--think/--no-think", help="What replies do by default; the chat template's choice if not given."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an artifact at the output path.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table.")] = False,
) -> None:
    """Turn a Qwen3 checkpoint into an artifact: one folder that runs."""
    from thinkport.deploy.extras import require

    require("export", *_PACKAGES)
    from thinkport.export.cli_export import run_export

    run_export(
        quiet=quiet,
        checkpoint=checkpoint,
        output=output,
        target=target,
        precision=precision,
        recipe=recipe,
        kv=kv,
        fuse=fuse,
        certificate=certificate,
        enable_thinking=think,
        force=force,
    )


def recipes_command() -> None:
    """List the recipes: the ways to quantize."""
    from thinkport.export.recipes_view import show_recipes

    show_recipes()
