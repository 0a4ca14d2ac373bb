"""The table of targets: what it says, what it refuses, and that nothing else asks a target for its name."""

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from thinkport.deploy.targets import TARGETS, Target, target
from thinkport.runtime.errors import InputError

ROOT = Path(__file__).parents[2]
ACCELERATORS = re.compile(rf"\b({'|'.join(entry.name for entry in TARGETS.values() if entry.accelerated)})\b")


def test_every_entry_is_found_by_its_name() -> None:
    assert {name: target(name).name for name in TARGETS} == {name: name for name in TARGETS}


def test_the_cpu_normalizes_heads_outside_attention_and_rotates_inside() -> None:
    cpu = target("cpu")
    assert cpu.rotary_in_attention
    assert cpu.packed_qkv
    assert not cpu.qk_norm_in_attention
    assert cpu.several_tokens_over_past


@pytest.mark.parametrize(("asked", "hint"), [("cpuu", "did you mean 'cpu'?"), ("tpu9000", "choose one of these")])
def test_an_unknown_target_lists_the_known_ones(asked: str, hint: str) -> None:
    with pytest.raises(InputError, match="expected one of: cpu") as caught:
        target(asked)
    assert hint in str(caught.value)


def test_an_entry_can_not_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        target("cpu").name = "gpu"  # type: ignore[misc]
    with pytest.raises(TypeError):
        TARGETS["gpu"] = target("cpu")  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"providers": ()}, "no provider"),
        ({"kv": ()}, "no type for its KV cache"),
        ({"continuation_batch": 0}, "use None"),
        ({"continuation_batch": None}, "several tokens over a past"),
        ({"proven_chunk": 128}, "larger than prefill_chunk"),
        ({"activations_optional": True}, "devices that lack its first one"),
    ],
)
def test_a_contradiction_is_refused_when_made(change: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        dataclasses.replace(target("cpu"), **change)  # type: ignore[arg-type]


def test_no_code_outside_the_table_compares_with_a_target_name() -> None:
    table = ROOT / "deploy" / "thinkport" / "deploy" / "targets.py"
    names = {*TARGETS, "dml", "cuda"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for part in ("export", "deploy", "runtime_py")
        for path in sorted((ROOT / part / "thinkport").rglob("*.py"))
        if path != table
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare) and _compares_a_target_with(node, names)
    ]
    assert not found, f"ask the target for a capability instead: {found}"


def test_no_text_outside_the_tables_spells_an_accelerators_name() -> None:
    """The runtime, which may not read this table, has one of plugins: `test_kernel_data.py` compares the two.

    A site has its own too: what onnxruntime-web calls its two ways, and which provider's graph each runs.
    """
    tables = ("targets.py", "plugins.py", "onnxruntime_files.py", "browser_graphs.py")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for part in ("export", "deploy", "runtime_py")
        for path in sorted((ROOT / part / "thinkport").rglob("*.py"))
        if path.name not in tables
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if not isinstance(statement, ast.Expr)  # a docstring may give an example
        for node in ast.iter_child_nodes(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ACCELERATORS.search(node.value)
    ]
    assert not found, f"take the name from the table: {found}"


def _compares_a_target_with(node: ast.Compare, names: set[str]) -> bool:
    sides = [node.left, *node.comparators]
    about = any("target" in ast.unparse(side) for side in sides)
    return about and any(isinstance(side, ast.Constant) and side.value in names for side in sides)


def test_a_target_takes_keywords_only() -> None:
    assert all(field.kw_only for field in dataclasses.fields(Target))
