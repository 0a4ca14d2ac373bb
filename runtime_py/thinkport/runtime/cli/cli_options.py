"""The options that several verbs share, each with its help, its default and its place in `--help`.

A verb takes those that belong together as one parameter, a group; `grouped` gives the command line the options.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import partial, wraps
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer

from thinkport.runtime.providers.ort import AUTO
from thinkport.runtime.terminal.option_values import OFF
from thinkport.runtime.thinking.thinking import Choose, Thinking

_DEFAULTS = Thinking()


def grouped(verb: Callable[..., None]) -> Callable[..., None]:
    """The same verb, for the console command, with the options of its groups in place of them."""
    taken = signature(verb)
    groups: dict[str, Any] = {
        one.name: one.annotation for one in taken.parameters.values() if is_dataclass(one.annotation)
    }

    @wraps(verb)
    def run(**options: Any) -> None:
        made = {name: kind(**{f.name: options.pop(f.name) for f in fields(kind)}) for name, kind in groups.items()}
        verb(**options, **made)

    flat = [
        option.replace(kind=option.KEYWORD_ONLY)
        for one in taken.parameters.values()
        for option in (signature(one.annotation).parameters.values() if one.name in groups else [one])
    ]
    run.__signature__ = taken.replace(parameters=flat)  # type: ignore[attr-defined]
    return run


_thinking = partial(typer.Option, rich_help_panel="Thinking")
_sampling = partial(typer.Option, rich_help_panel="Sampling", show_default="the mode's preset")
_form = partial(typer.Option, rich_help_panel="Form of the answer", show_default=False)
_running = partial(typer.Option, rich_help_panel="Running")

argument = partial(typer.Argument, show_default=False)

Artifact = Annotated[
    Path,
    argument(metavar="ARTIFACT", help="Folder that `thinkport export` wrote, or OWNER/NAME\\[@REVISION] on the Hub."),
]
MaxTokens = Annotated[
    int | None, typer.Option(help="Most tokens of a reply, thought included.", show_default="the context")
]
Threads = Annotated[int | None, _running(help="CPU threads.", show_default="all physical cores")]
Provider = Annotated[
    str,
    _running(
        metavar="NAME",
        help="auto (the best that is right here), a target of the artifact (such as cpu), a graph without its "
        "suffix (such as cpu-float32-kv), or an ONNX Runtime provider; NAME:1 is its second device.",
    ),
]
KernelSet = Annotated[
    str,
    _running(
        "--kernels",
        metavar=f"{AUTO}|{OFF}|SET",
        envvar="THINKPORT_KERNELS",
        help="thinkport's own kernels on the CPU, if they are installed: auto is the best set that the CPU runs. Sets "
        "are amx, avx512_vnni, avx_vnni and avx2, neon_i8mm, neon_dotprod and neon, and scalar.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """What a reply is asked for with."""

    system: Annotated[str | None, typer.Option(help="System message.", show_default=False)] = None
    max_tokens: MaxTokens = None
    seed: Annotated[int | None, typer.Option(help="Draws the same tokens again.", show_default="a new one")] = None


@dataclass(frozen=True, kw_only=True)
class ThinkingOptions:
    """Whether a reply thinks, and how long."""

    think: Annotated[
        bool | None,
        _thinking(
            "--think/--no-think",
            help="Think before the answer, or answer at once.",
            show_default="as the message and the model have it",
        ),
    ] = None
    think_budget: Annotated[
        int | None,
        _thinking(
            help="Most tokens of the thought; then it is closed and the answer comes.",
            show_default="no limit" if _DEFAULTS.budget is None else str(_DEFAULTS.budget),
        ),
    ] = None
    soft_from: Annotated[
        str | None,
        _thinking(
            metavar=f"SHARE|{OFF}",
            help="Share of the budget from which closing the thought is made likelier.",
            show_default=OFF if _DEFAULTS.soft_from is None else str(_DEFAULTS.soft_from),
        ),
    ] = None
    think_width: Annotated[
        int | None,
        _thinking(
            help="Thoughts that are written at the same time, of which one answers.", show_default=str(_DEFAULTS.width)
        ),
    ] = None
    think_choose: Annotated[
        str | None,
        _thinking(
            metavar="|".join(Choose),
            help="Which of them: the first to end, or one that has the answer of most.",
            show_default=_DEFAULTS.choose.value,
        ),
    ] = None
    think_quorum: Annotated[
        int | None, _thinking(help="Thoughts that vote, the shortest ones.", show_default="all of them")
    ] = None


@dataclass(frozen=True, kw_only=True)
class FormOptions:
    """What an answer is held to, and the tools that it may call."""

    schema: Annotated[Path | None, _form(metavar="FILE.json", help="The answer is JSON of this schema.")] = None
    regex: Annotated[str | None, _form(help="The whole answer matches this.")] = None
    choice: Annotated[list[str] | None, _form(help="The answer is one of these; give it several times.")] = None
    tools: Annotated[Path | None, _form(metavar="FILE.json", help="Tools that the model may call.")] = None


@dataclass(frozen=True, kw_only=True)
class DrawingOptions:
    """From which of the likeliest tokens one is drawn."""

    temperature: Annotated[float | None, _sampling(help="0 takes the likeliest token.")] = None
    top_p: Annotated[float | None, _sampling(help="Keep the likeliest tokens that together reach this share.")] = None
    top_k: Annotated[int | None, _sampling(help="Keep this many of the likeliest tokens; 0 keeps all.")] = None


@dataclass(frozen=True, kw_only=True)
class SamplingOptions(DrawingOptions):
    """How tokens are drawn."""

    min_p: Annotated[
        float | None, _sampling(help="Keep tokens at least this many times as likely as the likeliest.")
    ] = None
    presence_penalty: Annotated[
        float | None, _sampling(help="Subtracted from the logits of what the reply holds already.")
    ] = None
    repetition_penalty: Annotated[
        float | None, _sampling(help="Divides the logits of what prompt and reply hold already.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class LoadingOptions:
    """What an artifact is loaded with."""

    threads: Threads = None
    provider: Provider = AUTO
    kernels: KernelSet = AUTO

    def loading(self) -> dict[str, Any]:
        """Arguments of `Model.load`."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class RunningOptions(LoadingOptions):
    """What a model is loaded with, to reply."""

    drafts: Annotated[
        bool,
        _running(
            "--drafts/--no-drafts",
            help="Guess ahead what repeats the prompt or the reply; the same distribution in less time.",
        ),
    ] = True
    deterministic: Annotated[
        bool,
        _running("--deterministic", help="The same reply to the bit, whatever was said before it in the KV cache."),
    ] = False
