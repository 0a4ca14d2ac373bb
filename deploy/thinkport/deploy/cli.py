"""The verbs of the deploy part. Heavy packages are imported when a verb runs, so `--help` stays quick."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from thinkport.deploy.bundle.cli_bundle import bundle
from thinkport.deploy.targets import TARGETS
from thinkport.deploy.website.cli_web import web
from thinkport.runtime.cli.cli_options import (
    Artifact,
    DrawingOptions,
    KernelSet,
    LoadingOptions,
    MaxTokens,
    Provider,
    Threads,
    grouped,
)
from thinkport.runtime.errors import InputError
from thinkport.runtime.machine.threads import physical_cores
from thinkport.runtime.terminal.option_values import artifact_here, given
from thinkport.runtime.thinking.thinking import Thinking

Number = TypeVar("Number", int, float)


def register(app: typer.Typer) -> None:
    """Add this part's verbs to the console command."""
    command = partial(app.command, rich_help_panel="Check and measure")
    command("inspect")(artifact_here(inspect))
    command("verify")(artifact_here(verify_command))
    command("doctor")(artifact_here(doctor))
    command("eval")(artifact_here(grouped(eval_command)))
    command("bench")(artifact_here(grouped(bench)))
    app.command("bundle", rich_help_panel="Share")(artifact_here(bundle))
    app.command("web", rich_help_panel="Share")(artifact_here(web))
    app.command("desktop", rich_help_panel="Run")(desktop)


def inspect(
    artifact: Artifact,
    verify: Annotated[bool, typer.Option("--verify", help="Hash every file instead of comparing sizes.")] = False,
    target: Annotated[
        str | None, typer.Option(metavar="|".join(TARGETS), help="Tell where each node would run, and why not there.")
    ] = None,
    graph: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Hold this graph against --target.", show_default="the target's own"),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show weights, passes, inputs, memory, files and the certificate too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Show what is inside an artifact: model, bits, size, KV memory, graphs and their verdicts.

    With --target, show instead where each node of a target's graphs would run.

    Ends with 0, or with 1 where a node would leave its provider.
    """
    from thinkport.deploy.contents import look_inside
    from thinkport.deploy.contents_view import show, show_all
    from thinkport.deploy.kernels.check import check_graphs
    from thinkport.deploy.kernels.report import show_kernels
    from thinkport.deploy.outputs import Outputs

    if graph is not None and target is None:
        raise InputError("--graph names what to hold against a target: give --target too")
    if everything and target is not None:
        raise InputError("--all shows what is inside and --target where it would run: leave one out")
    contents = look_inside(artifact, verify=verify)
    outputs = Outputs(as_json=as_json)
    if target is None:
        view = show_all if everything else show
        outputs.write(contents.as_json(), lambda console: view(console, contents))
        return
    reports = check_graphs(artifact, target, graph=graph)
    facts = {name: report.as_json() for name, report in reports.items()}
    outputs.write(facts, lambda console: show_kernels(console, reports))
    if any(report.leaving for report in reports.values()):
        raise typer.Exit(1)


def verify_command(
    artifact: Artifact,
    provider: Provider = "auto",
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="CHECKPOINT", help="Measure the certificate again, against this folder or Hub id."),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The adapter that was merged into the checkpoint.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Hash every file, and run every graph that runs here on all its prompts.")
    ] = False,
    signed_by: Annotated[
        str | None, typer.Option(metavar="KEY", help="Fail unless this public key of minisign signed the manifest.")
    ] = None,
    threads: Threads = None,
    kernels: KernelSet = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Hold an artifact against its manifest, and what it computes here against what its checkpoint says.

    Ends with 0 where all is right,
    1 where logits are wrong on this machine, or no graph runs here,
    2 for a request that can't be met,
    3 where a file is missing, changed or damaged,
    4 where a package is missing.
    """
    from thinkport.deploy.outputs import Outputs
    from thinkport.deploy.verification import verify
    from thinkport.deploy.verification.check import show

    asked: dict[str, Any] = {"provider": provider, "full": full, "threads": threads, "kernels": kernels}
    found = verify(artifact, checkpoint=checkpoint, adapter=adapter, signed_by=signed_by, **asked)
    Outputs(as_json=as_json).write(found.as_json(), lambda console: show(console, found))
    raise typer.Exit(found.exit_code)


def doctor(
    artifact: Annotated[
        Path | None,
        typer.Argument(
            metavar="ARTIFACT", help="An artifact whose graphs are tried on this machine.", show_default=False
        ),
    ] = None,
    provider: Provider = "auto",
    kernels: KernelSet = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Examine this machine, and an artifact on it: what runs, what is right, how fast, and what to do.

    Tries every graph that can run here against the artifact's goldens, whatever was found before.
    With --provider, only those that it names, on that device.

    Ends with 0 where nothing has to be done,
    1 after a warning: it runs, but not as well as it could,
    2 after an error: it doesn't run, or is wrong,
    3 where the artifact isn't whole.
    """
    from thinkport.deploy.doctor.examination import examine
    from thinkport.deploy.doctor.view import show
    from thinkport.deploy.outputs import Outputs

    found = examine(artifact, provider=provider, kernels=kernels)
    Outputs(as_json=as_json).write(found.as_json(), lambda console: show(console, found))
    raise typer.Exit(found.exit_code)


def eval_command(
    *,
    artifact: Artifact,
    suite: Annotated[
        str, typer.Option(metavar="NAME|FILE.jsonl", help="arithmetic, or a file with a question and an answer a line.")
    ] = "arithmetic",
    compare: Annotated[
        str | None,
        typer.Option(metavar="HOW", help="exact, number, regex or boxed, for lines of a file that don't say how."),
    ] = None,
    question_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="A file's field with the question.")
    ] = None,
    answer_field: Annotated[str | None, typer.Option(metavar="NAME", help="A file's field with the answer.")] = None,
    suffix: Annotated[
        str | None, typer.Option(help="Last line of every question.", show_default="Qwen's for boxed mathematics")
    ] = None,
    perplexity: Annotated[
        Path | None,
        typer.Option(metavar="FILE.txt", help="Only measure how likely the model finds this text; no questions."),
    ] = None,
    window: Annotated[
        int | None, typer.Option(help="With --perplexity: most tokens that are run at once.", show_default="2048")
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(help="With --perplexity: tokens that each window predicts.", show_default="as many as it has"),
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="Use only the first N problems.")] = None,
    seeds: Annotated[str, typer.Option(metavar="0,1,2", help="Every question is asked once with each.")] = "0",
    budgets: Annotated[
        str | None, typer.Option(metavar="16,32", help="Thinking budgets in tokens.", show_default="the suite's")
    ] = None,
    soft_from: Annotated[
        str | None, typer.Option(metavar="0.7", help="Measure each budget softly too, from this share of it on.")
    ] = None,
    soft_lift: Annotated[
        float, typer.Option(help="Most logits that closing a thought is raised by with --soft-from.")
    ] = Thinking.soft_lift,
    widths: Annotated[
        str | None, typer.Option(metavar="2,4,8", help="Measure each budget with so many thoughts at a time too.")
    ] = None,
    max_tokens: MaxTokens = None,
    drawing: DrawingOptions,
    loading: LoadingOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object instead of tables.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the JSON object to a file too.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw accuracy against budget, tokens and seconds.")
    ] = None,
) -> None:
    """Measure accuracy against thinking budget: off, without a budget, and with each of some budgets.

    With --perplexity, measure a text instead: perplexity, bits a byte and nats a token.
    """
    from thinkport.deploy.outputs import Outputs

    outputs = Outputs(as_json=as_json, out=out, plot=plot)
    if perplexity is not None:
        from thinkport.deploy.evaluation.cli_eval import run_perplexity

        asking: dict[str, object] = {"compare": compare, "n": n, "budgets": budgets, "soft_from": soft_from}
        asking |= {"widths": widths}
        asking |= {"suffix": suffix, "max_tokens": max_tokens, **vars(drawing), "plot": plot}
        if names := [f"--{name.replace('_', '-')}" for name, value in asking.items() if value is not None]:
            raise InputError(f"{', '.join(names)} with --perplexity, which asks no questions: leave one out")
        run_perplexity(artifact, perplexity, outputs, window=window, stride=stride, **loading.loading())
        return
    if window is not None or stride is not None:
        raise InputError("--window and --stride say how a text is scored: give --perplexity FILE too")
    from thinkport.deploy.evaluation.cli_eval import run_eval
    from thinkport.deploy.evaluation.comparison import comparison_named
    from thinkport.deploy.evaluation.evaluator import Evaluation
    from thinkport.deploy.evaluation.plan import plans
    from thinkport.deploy.evaluation.suites import find_suite

    asked = find_suite(
        suite,
        comparison=comparison_named(compare, said="--compare"),
        question_field=question_field,
        answer_field=answer_field,
    )
    asked = replace(asked, suffix=suffix)
    if n is not None:
        asked = asked.first(n)
    if max_tokens is not None:
        asked = replace(asked, max_tokens=max_tokens)
    if budgets is not None:
        asked = replace(asked, budgets=_numbers("budgets", budgets, int))
    evaluation = Evaluation(suite=asked, seeds=_numbers("seeds", seeds, int), sampling=given(**vars(drawing)))
    ways = plans(
        asked.budgets,
        _numbers("soft-from", soft_from or "", float),
        soft_lift=soft_lift,
        widths=_numbers("widths", widths or "", int),
    )
    run_eval(artifact, evaluation, ways, outputs, budgets_needed=bool(budgets), **loading.loading())


def bench(
    *,
    artifact: Artifact,
    context: Annotated[
        str, typer.Option(metavar="128,1024", help="Contexts in tokens that a token is decoded at.")
    ] = "128,1024,4096",
    prefill: Annotated[str, typer.Option(metavar="512", help="Prompts' lengths in tokens.")] = "512",
    loading: LoadingOptions,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL[=PROGRAM]",
            help="Measure this beside it, turn about: an artifact, an onnxruntime-genai or OpenVINO folder and the "
            "Python that runs it, a .gguf file and llama-bench, or this artifact with kernels-off or kernels-SET. Give "
            "it several times.",
        ),
    ] = None,
    recipes: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Measure every artifact in DIR too, such as one a recipe.")
    ] = None,
    conversation: Annotated[
        str,
        typer.Option(
            metavar="2000,500,100,20",
            help="Also take the seconds of a conversation: tokens of a prompt, of a thought, of an answer, and of a "
            "second question, up to its first token.",
        ),
    ] = "",
    rounds: Annotated[
        int, typer.Option(help="How often each is measured, in a new process; a first one warms up.")
    ] = 3,
    steps: Annotated[int, typer.Option(help="Tokens decoded at each context.")] = 16,
    overhead: Annotated[bool, typer.Option(help="Measure what the engine adds to bare steps.")] = True,
    profile: Annotated[
        bool, typer.Option("--profile", help="Only show where a step's time goes, by operator, role and layer.")
    ] = False,
    drafts: Annotated[
        bool,
        typer.Option(
            "--drafts", help="Only measure what guessing ahead gains on a copy, an edit of code and free text."
        ),
    ] = False,
    clients: Annotated[
        str,
        typer.Option(
            metavar="1,2,4,8",
            help="Only measure what so many clients get at the same time, in shared steps and in turns; with "
            "--against, in shared steps and of other engines.",
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object instead of tables.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Draw how decode and prefill grow with length; with --recipes, speed against divergence.",
        ),
    ] = None,
) -> None:
    """Measure speed, loading and memory, with the machine's own limit, and other engines beside it."""
    from thinkport.deploy.bench.cli_bench import run_bench, run_clients, run_drafts, run_profile
    from thinkport.deploy.bench.contender import BenchPlan
    from thinkport.deploy.bench.talk import TalkPlan
    from thinkport.deploy.outputs import Outputs

    together = _numbers("clients", clients, int)
    only = [name for name, on in (("--profile", profile), ("--drafts", drafts), ("--clients", together)) if on]
    if len(only) > 1:
        raise InputError(f"{' and '.join(only)} measure one thing each, and nothing else: ask for one of them")
    beside = {"--against": against, "--recipes": recipes}
    others = {"--conversation": conversation, "--plot": plot} | ({} if together else beside)
    unused = [name for name, value in others.items() if value]
    if only and unused:
        raise InputError(f"{only[0]} measures one thing only, and not {', '.join(unused)}: leave it out, or {only[0]}")
    contexts, prefills = _numbers("context", context, int), _numbers("prefill", prefill, int)
    how = loading.loading() | {"threads": physical_cores() or 1 if loading.threads is None else loading.threads}
    plan = BenchPlan(
        contexts=contexts,
        prefills=() if together else prefills,
        rounds=rounds,
        steps=steps,
        overhead=overhead,
        talk=TalkPlan.of(_numbers("conversation", conversation, int)),
        clients=together,
        **how,
    )
    outputs = Outputs(as_json=as_json, plot=plot)
    if profile:
        run_profile(artifact, plan, outputs)
    elif drafts:
        run_drafts(artifact, plan, outputs)
    elif together and not any(beside.values()):
        run_clients(artifact, plan, outputs)
    else:
        run_bench(artifact, plan, outputs, against=against or [], recipes=recipes)


def desktop(
    artifact: Annotated[
        Path | None,
        typer.Argument(metavar="ARTIFACT", help="Folder that is opened at once.", show_default="picked in the window"),
    ] = None,
    provider: Provider = "auto",
) -> None:
    """Talk to a model in a window, which shows thoughts as they come and has a switch and a budget for them."""
    from platformdirs import user_state_path

    from thinkport.deploy.desktop import run

    raise typer.Exit(run(artifact, provider=provider, state=user_state_path("thinkport", appauthor=False)))


def _numbers(option: str, text: str, kind: Callable[[str], Number]) -> tuple[Number, ...]:
    """Numbers between commas; no text is no numbers.

    Raises:
        InputError: something else.
    """
    try:
        return tuple(kind(word) for word in text.split(",")) if text.strip() else ()
    except ValueError:
        raise InputError(f"--{option} is {text!r}, expected numbers between commas") from None
