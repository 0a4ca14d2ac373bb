"""Several projections of one tensor → one wide projection and a Split.

Knows how to stack weights by rows, so that each projection's weight stays a row range of the packed one. Must not
know which projections belong together; the passes that use it do.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.contract import Fusion, each_layer, named_like
from thinkport.export.passes.walk import expect, weight_of
from thinkport.export.trace.constant import integers
from thinkport.export.trace.source import Source, new_weight


class PackedProjections(Fusion[tuple[str, list[ir.Node]]]):
    """A pass that packs the projections meeting at one node, once a layer; `module` names the packed one."""

    module: ClassVar[str]

    def expected(self, layers: int) -> Mapping[int | None, int]:
        return each_layer(layers, 1)

    def match(self, node: ir.Node) -> tuple[str, list[ir.Node]]:
        """The packed projection's name and the projections."""
        meeting, projections = self.projections(node)
        x = projections[0].inputs[0]
        for number, one in enumerate(projections):
            read = one.inputs[0]
            expect(read is x, one, f"reads {read and read.name}, expected {x and x.name} as {projections[0].name} does")
            expect(one not in projections[:number], one, "stands for two projections, expected one for each")
            expect(weight_of(one) is not None, one, "multiplies by no transposed weight")
        return named_like(meeting, self.module), projections

    @abstractmethod
    def projections(self, node: ir.Node) -> tuple[ir.Node, list[ir.Node]]:
        """The node where projections meet, and these in the order they are packed.

        Raises:
            MismatchError: what meets there is no projection.
        """

    def fuse(self, graph: ir.Graph, match: tuple[str, list[ir.Node]]) -> str:
        name, matmuls = match
        weights = [weight for node in matmuls if (weight := weight_of(node)) is not None]
        rows = [int(weight.shape[0]) for weight in weights if weight.shape is not None]  # type: ignore[arg-type]
        columns = int(weights[0].shape[1])  # type: ignore[index, arg-type]
        packed = new_weight(
            graph,
            f"model.{name}.weight",
            ir.DataType.FLOAT,
            (sum(rows), columns),
            Source(tensors=tuple(weight.name or "" for weight in weights)),
        )
        transposed = ir.node("Transpose", [packed], {"perm": [1, 0]}, name=f"{name}.Transpose")
        matmul = ir.node("MatMul", [matmuls[0].inputs[0], transposed.outputs[0]], name=f"{name}.MatMul")
        sizes = integers(graph, "split_" + "_".join(map(str, rows)), rows)
        split = ir.node(
            "Split", [matmul.outputs[0], sizes], {"axis": -1}, num_outputs=len(matmuls), name=f"{name}.Split"
        )
        before = [node.outputs[0] for node in matmuls]
        for old, new in zip(before, split.outputs, strict=True):
            new.type, new.shape = old.type, old.shape
        matmul.outputs[0].type = before[0].type
        first = next(node for node in graph if node in matmuls)
        ir.convenience.replace_nodes_and_values(
            graph, first, matmuls, [transposed, matmul, split], before, split.outputs
        )
        return split.name or ""
