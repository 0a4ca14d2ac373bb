"""Writes the data of this folder from what ONNX Runtime says of itself; run by hand when a version is added.

There are two sources, which agree: the `KernelDef`s and operator schemas that a build lists from Python, and
`docs/OperatorKernels.md`, which ONNX Runtime generates from those on a machine that has every provider. Neither has a
plugin's kernels: `probe` finds them.

    python -m thinkport.deploy.kernels.collect build cpu          # in an environment with that onnxruntime
    python -m thinkport.deploy.kernels.collect document OperatorKernels.md dml 1.24.4 "microsoft/onnxruntime, COMMIT"
    python -m thinkport.deploy.kernels.collect probed rows.json webgpu 1.32.0 0.4.0 "a software Vulkan device"

The first writes `schemas-VERSION.json` too. Knows the files' form; nothing else imports this module.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from thinkport.deploy.kernels.kernel_list import DATA, key
from thinkport.deploy.targets import target as entry_of

OLDEST_OPSET = 17  # of graphs that are checked: what only older graphs need is left out
DOMAINS = {"": "", "ai.onnx": "", "com.microsoft": "com.microsoft"}
Row = tuple[str, str, int, int | None, dict[str, list[str]]]
_TENSOR = re.compile(r"tensor\((\w+)\)$")
_OPEN_ENDED = 2**31 - 1


def main(arguments: list[str]) -> None:
    """Write the files that the arguments name; see the module."""
    kind, *given = arguments
    if kind == "build":
        _collect_build(given[0])
    elif kind == "probed":
        _collect_probed(*given)
    else:
        path, target, version, source = given
        rows = document_rows(Path(path).read_text("utf-8"), entry_of(target).providers[0])
        write_kernels(target, version, f"docs/OperatorKernels.md of {source}", rows)


def _collect_probed(path: str, target: str, version: str, plugin: str, device: str) -> None:
    rows = json.loads(Path(path).read_text("utf-8"))
    operators = len({(domain, name) for domain, name, *_ in rows})
    source = (
        f"{operators} operators that graphs here are made of, each tried alone on {device}; of others it says nothing"
    )
    write_kernels(target, version, source, rows, plugin=plugin)


def _collect_build(target: str) -> None:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    version = onnxruntime.__version__
    source = f"onnxruntime {version} itself ({onnxruntime.get_build_info()})"
    schemas = {"version": version, "source": source, "schemas": build_schemas(state.get_all_operator_schema())}
    _write(DATA / f"schemas-{version}.json", schemas)
    write_kernels(target, version, source, build_rows(state.get_all_opkernel_def(), entry_of(target).providers[0]))


def build_rows(definitions: Iterable[Any], provider: str) -> Iterator[Row]:
    """The kernels of a provider among a build's `KernelDef`s."""
    for kernel in definitions:
        if kernel.provider == provider and kernel.domain in DOMAINS:
            first, last = kernel.version_range
            types = {name: _plain(kinds) for name, kinds in kernel.type_constraints.items()}
            yield kernel.domain, kernel.op_name, first, None if last == _OPEN_ENDED else last, types


def document_rows(text: str, provider: str) -> Iterator[Row]:
    """The kernels of a provider in `docs/OperatorKernels.md`: an operator's later rows leave its name out."""
    section = text.split(f"## Operators implemented by {provider}\n", 1)[1].split("\n## ", 1)[0]
    domain, name = "", ""
    for line in section.splitlines():
        if found := re.search(r"Operator Domain:\*\* \*([\w.]+)\*", line):
            domain = found[1]
        cells = line.split("|")
        versions = re.fullmatch(r"\[?(\d+)(?:, (\d+)\]|(\+?))", cells[3]) if len(cells) > 4 else None
        if versions is None or domain not in DOMAINS:
            continue
        name = cells[1] or name
        first = int(versions[1])
        last = int(versions[2]) if versions[2] else None if versions[3] else first
        types = {var: _plain(kinds.split(", ")) for var, kinds in re.findall(r"\*\*(\w+)\*\* = ([^<]*)", cells[4])}
        yield DOMAINS[domain], name, first, last, types


def build_schemas(schemas: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Operator → version → formal inputs, outputs and attributes, of versions that graphs are checked for."""
    found: dict[str, dict[int, Any]] = {}
    for schema in schemas:
        if schema.domain in DOMAINS and not schema.deprecated:
            found.setdefault(key(schema.domain, schema.name), {})[schema.since_version] = {
                "in": [_formal(each, {}) for each in schema.inputs],
                "out": [_formal(each, _only_types(schema)) for each in schema.outputs],
                "attributes": sorted(
                    name + ("!" if attribute.required else "") for name, attribute in schema.attributes.items()
                ),
            }
    return {operator: _still_used(versions) for operator, versions in sorted(found.items())}


def _still_used(versions: dict[int, Any]) -> dict[str, Any]:
    oldest = max((since for since in versions if since <= OLDEST_OPSET), default=0)
    return {str(since): schema for since, schema in sorted(versions.items()) if since >= oldest}


def _only_types(schema: Any) -> dict[str, str]:
    """Variables that stand for one type (the int64 that Shape gives): no input binds them."""
    kinds = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
    return {variable: allowed[0] for variable, allowed in kinds.items() if len(allowed) == 1}


def _formal(parameter: Any, known: Mapping[str, str]) -> str:
    mark = {"Single": "", "Optional": "?", "Variadic": "*"}[parameter.option.name]
    same = "" if parameter.isHomogeneous else "~"
    return f"{parameter.name}:{known.get(parameter.typeStr, parameter.typeStr)}{mark}{same}"


def write_kernels(target: str, version: str, source: str, rows: Iterable[Row], *, plugin: str | None = None) -> None:
    """Write `TARGET-VERSION.json`: sets of types once, then operator → [first version, last, variable → set].

    `version` is ONNX Runtime's, `plugin` that of the provider's own package beside it.
    """
    sets: dict[str, int] = {}
    kernels: dict[str, list[list[Any]]] = {}
    for domain, name, first, last, types in rows:
        held = {var: sets.setdefault(" ".join(kinds), len(sets)) for var, kinds in sorted(types.items())}
        kernels.setdefault(key(domain, name), []).append([first, last, held])
    content = {
        "target": target,
        "provider": entry_of(target).providers[0],
        "package": entry_of(target).packages[0],
        "version": version,
        **({} if plugin is None else {"plugin": plugin}),
        "source": source,
        "types": list(sets),
        "kernels": {operator: sorted(found, key=str) for operator, found in sorted(kernels.items())},
    }
    _write(DATA / f"{target}-{version}.json", content)


def _plain(kinds: Iterable[str]) -> list[str]:
    """`tensor(float)` → `float`; sequences, maps and sparse tensors are left out, since no graph of ours has any."""
    return sorted(found[1] for kind in kinds if (found := _TENSOR.match(kind)))


def _write(path: Path, content: dict[str, Any]) -> None:
    """One line an entry of the last table, so that a new version's changes can be read in a diff."""
    *_, table = content
    rows = ",\n".join(
        f"{json.dumps(key)}:{json.dumps(row, separators=(',', ':'))}" for key, row in content[table].items()
    )
    head = json.dumps({key: value for key, value in content.items() if key != table})
    path.write_text(f"{head[:-1]},\n{json.dumps(table)}:{{\n{rows}\n}}}}\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
