"""What a node must be beside having a kernel: typed conditions, each of which can say how a node breaks it.

Kernel lists hold operators, versions and dtypes; a provider's code checks or ignores more than that. Which provider
asks for what stands in `requirements`; this module knows only what can be asked of a node.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from packaging.version import Version

from thinkport.deploy.kernels.graph_file import Attribute, Node

# leaves: ONNX Runtime gives the node to the CPU. fails: the graph does not load, or its first step ends in an error.
# wrong: it runs and computes something else.
Consequence = Literal["leaves", "fails", "wrong"]


class Condition(Protocol):
    """Something that a node must fulfil."""

    def __call__(self, node: Node, dtypes: Mapping[str, str]) -> str | None:
        """How the node breaks it, as the beginning of a sentence; None if it does not."""
        ...


Places = tuple[tuple[int, str], ...]  # of inputs or outputs, each with the schema's name


@dataclass(frozen=True)
class Given:
    """All of these inputs are there."""

    inputs: Places

    def __call__(self, node: Node, dtypes: Mapping[str, str]) -> str | None:
        """See `Condition`."""
        return _listed("it has no", "input", [place for place in self.inputs if not node.has_input(place[0])])


@dataclass(frozen=True)
class Absent:
    """None of these inputs is there."""

    inputs: Places

    def __call__(self, node: Node, dtypes: Mapping[str, str]) -> str | None:
        """See `Condition`."""
        return _listed("it has", "input", [place for place in self.inputs if node.has_input(place[0])])


@dataclass(frozen=True)
class OutputAbsent:
    """None of these outputs is asked for."""

    outputs: Places

    def __call__(self, node: Node, dtypes: Mapping[str, str]) -> str | None:
        """See `Condition`."""
        return _listed("it gives", "output", [place for place in self.outputs if node.has_output(place[0])])


@dataclass(frozen=True, kw_only=True)
class OneOf:
    """An attribute has one of some values; `default` is its value where the node does not say."""

    attribute: str
    values: tuple[Attribute, ...]
    default: Attribute

    def __call__(self, node: Node, dtypes: Mapping[str, str]) -> str | None:
        """See `Condition`."""
        found = node.attributes.get(self.attribute, self.default)
        return None if found in self.values else f"{self.attribute} is {found}"


@dataclass(frozen=True, kw_only=True)
class Same:
    """Two attributes have one value; `default` is that of one which the node leaves out."""

    attributes: tuple[str, str]
    default: Attribute

    def __call__(self, node: Node, dtypes: Mapping[str, str]) -> str | None:
        """See `Condition`."""
        first, second = (node.attributes.get(name, self.default) for name in self.attributes)
        return None if first == second else f"its {self.attributes[0]} is {first} and its {self.attributes[1]} {second}"


@dataclass(frozen=True, kw_only=True)
class DtypeOneOf:
    """An input, where it is given, has one of some dtypes."""

    index: int
    name: str
    dtypes: tuple[str, ...]

    def __call__(self, node: Node, dtypes: Mapping[str, str]) -> str | None:
        """See `Condition`."""
        found = dtypes.get(node.inputs[self.index]) if node.has_input(self.index) else None
        return f"its {self.name} is {found}" if found and found not in self.dtypes else None


@dataclass(frozen=True, kw_only=True)
class Divides:
    """One whole attribute divides another."""

    divisor: str
    of: str

    def __call__(self, node: Node, dtypes: Mapping[str, str]) -> str | None:
        """See `Condition`."""
        divisor, of = node.attributes.get(self.divisor), node.attributes.get(self.of)
        if isinstance(divisor, int) and isinstance(of, int) and divisor > 0 and of % divisor == 0:
            return None
        return f"{self.divisor} {divisor} does not divide {self.of} {of}"


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """What a target asks of one operator's nodes, and what comes of a node that breaks it.

    `because` ends the sentence that the condition begins, and says what to do; `source` is a file of ONNX
    Runtime's, an issue, or "measured" by this project. It holds for versions before `until`, where one is named.
    """

    target: str
    op: str
    domain: str = "com.microsoft"
    condition: Condition
    consequence: Consequence
    because: str
    source: str
    until: str | None = None

    def concerns(self, target: str, version: str, node: Node) -> bool:
        """Whether it is asked of that node there."""
        newer = self.until is not None and Version(version) >= Version(self.until)
        return (self.target, self.domain, self.op) == (target, node.domain, node.op) and not newer


def _listed(verb: str, kind: str, places: list[tuple[int, str]]) -> str | None:
    names = " and ".join(f"{name} ({kind} {index})" for index, name in places)
    return f"{verb} {names}" if names else None
