"""How an examination looks in a terminal: facts, graphs, findings; holds at 80 columns."""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from thinkport.deploy.doctor.examination import Examination, Trial
from thinkport.deploy.doctor.findings import Severity
from thinkport.deploy.doctor.machine_facts import MachineFacts
from thinkport.deploy.tables import facts_table, section, size
from thinkport.runtime.machine.known_files import FilesCheck
from thinkport.runtime.providers.plugins import DeviceFacts, PluginFacts

_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan", Severity.FINE: "green"}


def show(console: Console, found: Examination) -> None:
    """Write the whole view."""
    section(console, "Machine", _facts(found.facts))
    if found.files is not None:
        section(console, f"Files of {found.artifact}", _files(*found.files))
    if found.artifact is not None:
        graphs = facts_table(*((trial.attempt.graph, _told(trial)) for trial in found.trials))
        section(console, f"Graphs of {found.artifact}", graphs)
        runs = found.runs
        timed = any(trial.timed is not None for trial in found.trials)
        why = f"the {'fastest' if timed else 'first'} of these that is right" if runs else "none of these"
        console.print(Text(f"A load takes {runs.graph if runs else 'nothing'}: {why}.\n"))
    console.print(Text("Findings", style="bold"))
    for finding in found.findings:
        console.print(Padding(Text(f"{finding.severity}: {finding.sentence}", _STYLES[finding.severity]), (0, 0, 0, 2)))
        if finding.todo:
            console.print(Padding(Text(f"do: {finding.todo}"), (0, 0, 0, 4)))
    if not found.findings:
        console.print(Padding(Text("nothing to do", _STYLES[Severity.FINE]), (0, 0, 0, 2)))


def _facts(facts: MachineFacts) -> Table:
    own = facts.hardware
    features = f": {', '.join(own.features)}" if own.features else ""
    providers = f" with {', '.join(facts.build.providers)}" if facts.build else ""
    return facts_table(
        ("python", facts.python),
        ("system", facts.platform),
        ("packages", ", ".join(f"{name} {version}" for name, version in facts.packages.items())),
        ("ONNX Runtime", f"{facts.build or 'none'}{providers}"),
        ("installed", ", ".join(f"{name} {version}" for name, version in facts.builds.items()) or "none"),
        ("devices", ", ".join(map(str, facts.devices)) or "no graphics device known"),
        ("thinkport's kernels", facts.kernels),
        *((f"{_word(plugin.provider)} plugin", _plugin(plugin)) for plugin in facts.plugins),
        ("CPU", f"{own.processor}, {own.cores} cores{features}"),
        ("memory", f"{size(own.memory)}, {size(own.memory_free)} free"),
    )


def _word(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider")


def _plugin(plugin: PluginFacts) -> str:
    """A plugin with its version and devices, or what it needs."""
    installed = f"{plugin.distribution} {plugin.version}: " if plugin.version else ""
    return installed + (plugin.needs or "; ".join(map(_plugin_device, plugin.devices)))


def _plugin_device(device: DeviceFacts) -> str:
    kind = "software" if device.software else f"driver {device.driver or 'unknown'}"
    able = device.needs or ("shader-f16" if device.float16 else "no shader-f16: float32 graphs only")
    return f"{device.number} {device.name} ({device.vendor}, {kind}), {able}"


def _files(first: FilesCheck, later: FilesCheck) -> Table:
    again = f"compares them in {later.seconds:.3f} s"
    if later.hashed:
        why = "the user's cache folder can't be written or they were just changed"
        again = f"hashes {size(later.hashed)} again, since {why}"
    return facts_table(
        ("content", f"{first.files} files, {size(first.bytes)}, as the manifest records"),
        ("first start", f"hashes them in {first.seconds:.3f} s"),
        ("later start", again),
    )


def _told(trial: Trial) -> str:
    one = trial.attempt
    speed = f", {trial.tokens_per_second:.0f} tokens/s" if trial.tokens_per_second else ""
    if trial.timed is not None and trial.timed.reply_seconds is not None:
        speed = f", {trial.timed.speed}"
    where = ", ".join(f"{count} on {_word(name)}" for name, count in trial.nodes.items())
    nodes = f"; nodes: {where}" if where else ""
    check = f"; a first load checks it in {one.seconds:.1f} s" if one.seconds else ""
    return f"{one.outcome}: {one.reason}{speed}{check}{nodes}"
