"""The verbs of the export part. Heavy packages are imported when a verb runs, so `--help` stays quick."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from thinkport.deploy.targets import TARGETS
from thinkport.export.quantize.recipes import BUDGETED, DEFAULT_RECIPES
from thinkport.runtime.artifact.certificate import MIN_AGREEMENT
from thinkport.runtime.artifact.manifest import Task
from thinkport.runtime.artifact.verdict import Grade
from thinkport.runtime.errors import InputError

_PACKAGES = ("torch", "transformers", "onnx", "onnx_ir", "onnxscript", "huggingface_hub", "onnxruntime")
_PANEL = "Export"
_DEFAULT_RECIPES = f"{DEFAULT_RECIPES[None]}; with --precision int8: {DEFAULT_RECIPES['int8']}"
_BUDGET = f"the recipe's; without --recipe, {BUDGETED} with this limit"
_DEFAULT_KV = "each target's best, on the CPU int8; a yardstick's fp32"


def register(app: typer.Typer) -> None:
    """Add this part's verbs to the console command."""
    app.command(name="export", rich_help_panel=_PANEL)(export_command)
    app.command(name="recipes", rich_help_panel=_PANEL)(recipes_command)


def _option(panel: str, text: str, metavar: str | None = None, default: str | bool = True) -> Any:
    """An option in a panel of `--help`, with its default in words where the value itself says nothing."""
    return typer.Option(metavar=metavar, help=text, show_default=default, rich_help_panel=panel)


_graphs, _certificate = partial(_option, "Graphs"), partial(_option, "Certificate")


def export_command(
    checkpoint: Annotated[
        str,
        typer.Argument(metavar="CHECKPOINT", help="A local folder, a .gguf file, or a Hub id: owner/name@revision."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The artifact's folder.")],
    adapter: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Merge this LoRA adapter (peft's) into the weights.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(Task),
            help="What the artifact is for: replies, vectors of texts, or scores of documents for a query.",
            show_default="what the checkpoint's files say",
        ),
    ] = None,
    target: Annotated[
        str | None, _graphs("Write graphs for these only, with commas between.", ",".join(TARGETS), "every target")
    ] = None,
    precision: Annotated[
        str | None,
        _graphs(
            "Bits of quantized weights. fp32 does not quantize, and gives a yardstick for the CPU.",
            "int4|int8|fp32",
            "the recipe's",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        _graphs(
            "How to quantize; `thinkport recipes` lists them. A quantized checkpoint keeps its integers if neither "
            "this nor --precision is given.",
            "NAME",
            _DEFAULT_RECIPES,
        ),
    ] = None,
    bits: Annotated[
        float | None, _graphs("The most bits a weight, for a recipe that spends them by what they gain.", "B", _BUDGET)
    ] = None,
    size: Annotated[
        str | None, _graphs("The same limit as bytes of all weights, such as 350MB.", "BYTES", "the recipe's bits")
    ] = None,
    kv: Annotated[
        str | None,
        _graphs(
            "Type of the KV cache, on the targets that take it. int8 costs SmolLM2-135M 0.004 nats.",
            "int8|fp16|fp32",
            _DEFAULT_KV,
        ),
    ] = None,
    fuse: Annotated[
        bool, _graphs("Fuse the traced graph's operators. A graph that is not fused is a yardstick.")
    ] = True,
    certificate: Annotated[
        bool, _certificate("Hold every graph against the checkpoint, and keep the figures in the artifact.")
    ] = True,
    min_agreement: Annotated[
        str,
        _certificate(
            "Fail if a graph's logits correlate less than R with the checkpoint's, or if its verdict is surely worse.",
            "R|close|usable",
        ),
    ] = str(MIN_AGREEMENT),
    think: Annotated[
        bool | None, typer.Option(help="What replies do by default.", show_default="as the chat template has it")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an artifact at the output path.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table.")] = False,
) -> None:
    """Turn a Qwen3, Qwen2 or Llama checkpoint into an artifact: one folder that runs."""
    from thinkport.runtime.extras import require

    require("export", *_PACKAGES)
    from rich.console import Console

    from thinkport.export.settings import ExportSettings, Kv, Precision, parsed_size
    from thinkport.export.view import ProgressView, show_report

    errors = Console(stderr=True)
    settings = ExportSettings(
        checkpoint=checkpoint,
        output=output,
        adapter=adapter,
        task=task,
        targets=None if target is None else tuple(name.strip() for name in target.split(",")),
        precision=cast("Precision | None", precision),
        recipe=recipe,
        bits=bits,
        size=None if size is None else parsed_size(size),
        kv=cast("Kv | None", kv),
        fuse=fuse,
        certificate=certificate,
        min_agreement=_agreement(min_agreement),
        enable_thinking=think,
        force=force,
    )
    from thinkport.export.exporter import export  # torch takes seconds to import: settings are checked before

    with nullcontext() if quiet else ProgressView(errors) as view:
        report = export(settings, view)
    if not quiet:
        show_report(report, Console())
    if found := report.manifest.certificate and report.manifest.certificate.warning:
        errors.print(f"\nWarning: {found}", style="bold red", highlight=False, markup=False, soft_wrap=True)


def _agreement(text: str) -> float | Grade:
    """What --min-agreement says.

    Raises:
        InputError: neither a number nor a word of the verdict.
    """
    try:
        return Grade(text) if text in [*Grade] else float(text)
    except ValueError:
        raise InputError(
            f"--min-agreement is {text!r}, expected a correlation from -1 to 1, or {' or '.join([*Grade][:-1])}"
        ) from None


def recipes_command() -> None:
    """List the recipes: the ways to quantize."""
    from thinkport.export.view import show_recipes

    show_recipes()
