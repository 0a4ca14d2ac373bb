"""What a node must be beside having a kernel: conditions, each of which can say how a node breaks it.

Kernel lists hold operators, versions and dtypes; a provider's code checks or ignores more than that. Which provider
asks for what stands in `requirements`; this module knows only what can be asked of a node.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.version import Version

from thinkport.deploy.kernels.graph_file import Attribute, Node

# leaves: ONNX Runtime gives the node to the CPU. fails: the graph does not load, or its first step ends in an error.
# wrong: it runs and computes something else.
Consequence = Literal["leaves", "fails", "wrong"]

# Takes a node and the dtypes of a graph's values; returns how the node breaks the condition, as the beginning of a
# sentence, or None if it keeps it.
Condition = Callable[[Node, Mapping[str, str]], str | None]

Place = tuple[int, str]  # of an input or output, with the schema's name


def given(*inputs: Place) -> Condition:
    """All of these inputs are there."""
    return lambda node, _: _listed("it has no", "input", [place for place in inputs if not node.has_input(place[0])])


def absent(*inputs: Place) -> Condition:
    """None of these inputs is there."""
    return lambda node, _: _listed("it has", "input", [place for place in inputs if node.has_input(place[0])])


def output_absent(*outputs: Place) -> Condition:
    """None of these outputs is asked for."""
    return lambda node, _: _listed("it gives", "output", [place for place in outputs if node.has_output(place[0])])


def one_of(attribute: str, *values: Attribute, default: Attribute) -> Condition:
    """An attribute has one of some values; `default` is its value where the node does not say."""

    def condition(node: Node, _: Mapping[str, str]) -> str | None:
        found = node.attributes.get(attribute, default)
        return None if found in values else f"{attribute} is {found}"

    return condition


def same(first: str, second: str, *, default: Attribute) -> Condition:
    """Two attributes have one value; `default` is that of one which the node leaves out."""

    def condition(node: Node, _: Mapping[str, str]) -> str | None:
        one, other = (node.attributes.get(name, default) for name in (first, second))
        return None if one == other else f"its {first} is {one} and its {second} {other}"

    return condition


def dtype_one_of(index: int, name: str, *allowed: str) -> Condition:
    """An input, where it is given, has one of some dtypes."""

    def condition(node: Node, dtypes: Mapping[str, str]) -> str | None:
        found = dtypes.get(node.inputs[index]) if node.has_input(index) else None
        return f"its {name} is {found}" if found and found not in allowed else None

    return condition


def divides(divisor: str, of: str) -> Condition:
    """One whole attribute divides another."""

    def condition(node: Node, _: Mapping[str, str]) -> str | None:
        part, whole = node.attributes.get(divisor), node.attributes.get(of)
        if isinstance(part, int) and isinstance(whole, int) and part > 0 and whole % part == 0:
            return None
        return f"{divisor} {part} does not divide {of} {whole}"

    return condition


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """What a target asks of one operator's nodes, and what comes of a node that breaks it: most often it fails.

    `because` ends the sentence that the condition begins, and says what to do; `source` is a file of ONNX
    Runtime's, an issue, or "measured" by this project. It holds for versions before `until`, where one is named.
    """

    target: str
    op: str
    domain: str = "com.microsoft"
    condition: Condition
    consequence: Consequence = "fails"
    because: str
    source: str
    until: str | None = None

    def concerns(self, target: str, version: str, node: Node) -> bool:
        """Whether it is asked of that node there."""
        newer = self.until is not None and Version(version) >= Version(self.until)
        return (self.target, self.domain, self.op) == (target, node.domain, node.op) and not newer


def _listed(verb: str, kind: str, places: Sequence[Place]) -> str | None:
    names = " and ".join(f"{name} ({kind} {index})" for index, name in places)
    return f"{verb} {names}" if names else None
