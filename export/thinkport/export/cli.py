"""The verbs of the export part. Heavy packages are imported when a verb runs, so `--help` stays quick."""

from pathlib import Path
from typing import Annotated, cast

import typer

from thinkport.deploy.targets import TARGETS
from thinkport.export.quantize.recipes import DEFAULT_RECIPE, DEFAULT_RECIPES
from thinkport.runtime.artifact.certificate import MIN_AGREEMENT

_PACKAGES = ("torch", "transformers", "onnx", "onnx_ir", "onnxscript", "huggingface_hub", "onnxruntime")
_PANEL, _GRAPHS, _CERTIFICATE = "Export", "Graphs", "Certificate"


def register(app: typer.Typer) -> None:
    """Add this part's verbs to the console command."""
    app.command(name="export", rich_help_panel=_PANEL)(export_command)
    app.command(name="recipes", rich_help_panel=_PANEL)(recipes_command)


def export_command(
    checkpoint: Annotated[
        str,
        typer.Argument(metavar="CHECKPOINT", help="A local folder, or a Hub id: owner/name or owner/name@revision."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The artifact's folder.")],
    target: Annotated[
        str | None,
        typer.Option(
            metavar=",".join(TARGETS),
            help="Write graphs for these only, with commas between.",
            show_default="every target",
            rich_help_panel=_GRAPHS,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="int4|int8|fp32",
            help="Quantize to so many bits, or stop before: a yardstick for the CPU.",
            show_default="the recipe's",
            rich_help_panel=_GRAPHS,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How to quantize; `thinkport recipes` lists them.",
            show_default=f"{DEFAULT_RECIPE}; for int4 {DEFAULT_RECIPES['int4']}",
            rich_help_panel=_GRAPHS,
        ),
    ] = None,
    kv: Annotated[
        str | None,
        typer.Option(
            metavar="int8|fp16|fp32",
            help="Numbers of the KV cache, on those targets that take them.",
            show_default="each target's best, on the CPU int8; a yardstick's fp32",
            rich_help_panel=_GRAPHS,
        ),
    ] = None,
    fuse: Annotated[
        bool,
        typer.Option(
            "--fuse/--no-fuse",
            help="Fuse the traced graph's operators, or stop before: a yardstick.",
            rich_help_panel=_GRAPHS,
        ),
    ] = True,
    certificate: Annotated[
        bool,
        typer.Option(
            "--certificate/--no-certificate",
            help="Hold every graph against the checkpoint, and keep the figures in the artifact.",
            rich_help_panel=_CERTIFICATE,
        ),
    ] = True,
    min_agreement: Annotated[
        float,
        typer.Option(
            metavar="R",
            help="Fail if a graph's logits correlate less than this with the checkpoint's, on average.",
            rich_help_panel=_CERTIFICATE,
        ),
    ] = MIN_AGREEMENT,
    think: Annotated[
        bool | None,
        typer.Option(
            "--think/--no-think", help="What replies do by default.", show_default="as the chat template has it"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an artifact at the output path.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table.")] = False,
) -> None:
    """Turn a Qwen3 or Llama checkpoint into an artifact: one folder that runs."""
    from thinkport.runtime.extras import require

    require("export", *_PACKAGES)
    from rich.console import Console

    from thinkport.export.progress_view import ProgressView
    from thinkport.export.settings import ExportSettings, Kv, Precision
    from thinkport.export.view import show_report

    settings = ExportSettings(
        checkpoint=checkpoint,
        output=output,
        targets=None if target is None else tuple(name.strip() for name in target.split(",")),
        precision=cast("Precision | None", precision),
        recipe=recipe,
        kv=cast("Kv | None", kv),
        fuse=fuse,
        certificate=certificate,
        min_agreement=min_agreement,
        enable_thinking=think,
        force=force,
    )
    from thinkport.export.exporter import export  # torch takes seconds to import: settings are checked before

    errors = Console(stderr=True)
    if quiet:
        report = export(settings)
    else:
        with ProgressView(errors) as view:
            report = export(settings, view)
        show_report(report, Console())
    if found := report.manifest.certificate and report.manifest.certificate.warning:
        errors.print(f"\nWarning: {found}", style="yellow", highlight=False, markup=False, soft_wrap=True)


def recipes_command() -> None:
    """List the recipes: the ways to quantize."""
    from thinkport.export.view import show_recipes

    show_recipes()
