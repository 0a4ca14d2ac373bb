"""Projections and the embedding → their quantized forms.

Cases:
    1. MatMul(x, Transpose(W)) → MatMulNBits with the recipe's bits, group size and accuracy level for W's role;
    2. the embedding's Gather → GatherBlockQuantized; tied to lm_head, it reads the same bytes in another shape;
    3. a matrix product of two computed tensors is left alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from thinkport.export.errors import GraphError
from thinkport.export.passes.contract import GraphPass, become, each_layer
from thinkport.export.passes.walk import weight_of
from thinkport.export.quantize.recipes import TABLES, ModelRecipe, Role, RoleRecipe
from thinkport.export.trace.initializers import WeightSource, new_weight, source_of


@dataclass(kw_only=True)
class MatMulNBits(GraphPass):
    """Every projection of the graph and the embedding.

    Operators: com.microsoft.MatMulNBits, B (N, K/group, group·bits/8) uint8, scales (N, K/group) float32, symmetric
    (no zero points); com.microsoft.GatherBlockQuantized, data (V, K·bits/8) uint8, scales (V, K/group)
    (docs/ContribOperators.md). Both take 2^(bits-1) as the zero point of unsigned data. `accuracy_level` says whether
    the target's operator asks for one.
    """

    name = "matmul_nbits"
    recipe: ModelRecipe
    role: Callable[[str], Role]
    projections: int  # a layer: 4 packed, 7 unpacked
    tied: bool
    accuracy_level: bool = True

    def expected(self, layers: int) -> dict[int | None, int]:
        return each_layer(layers, self.projections, outside=2)

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        fired = []
        for node in list(model.graph):
            weight = weight_of(node) if node.op_type == "MatMul" else None
            if weight is not None:
                fired.append(self._project(model.graph, node, weight))
            elif node.op_type == "Gather" and node.inputs[0] is not None and source_of(node.inputs[0]) is not None:
                fired.append(self._gather(model.graph, node, node.inputs[0]))
        return fired

    def _recipe(self, source: WeightSource, *, embedding: bool) -> tuple[Role, RoleRecipe]:
        role = self.role(source.tensors[0])
        if role in TABLES:
            # Tied, both read one table, stored by lm_head's row of the recipe.
            role = "lm_head" if self.tied or not embedding else "embedding"
        how = self.recipe.for_role(role, tied=self.tied)
        if how is None:
            raise GraphError(
                f"{source.tensors[0]} is a {role} weight in a projection: the family names no recipe for it"
            )
        return role, how

    def _parts(
        self, graph: ir.Graph, weight: ir.Value, *, embedding: bool
    ) -> tuple[ir.Value, ir.Value, RoleRecipe, int, int]:
        """Codes, scales, recipe, rows and columns of a weight's quantized form, in the shape its reader takes."""
        source = source_of(weight)
        assert source is not None
        assert weight.shape is not None
        rows, columns = (int(dim) for dim in weight.shape)  # type: ignore[arg-type]
        role, how = self._recipe(source, embedding=embedding)
        groups, width = columns // how.group_size, how.group_size * how.bits // 8
        shape = (rows, columns * how.bits // 8) if embedding else (rows, groups, width)
        stem = (weight.name or "").removesuffix(".weight")
        suffix = "table" if embedding else "qweight"
        of_codes, of_scales = (replace(source, part=part, role=role) for part in ("codes", "scales"))
        codes = new_weight(graph, f"{stem}.{suffix}", ir.DataType.UINT8, shape, of_codes)
        scales = new_weight(graph, f"{stem}.scales", ir.DataType.FLOAT, (rows, groups), of_scales)
        return codes, scales, how, rows, columns

    def _project(self, graph: ir.Graph, matmul: ir.Node, weight: ir.Value) -> str:
        codes, scales, how, rows, columns = self._parts(graph, weight, embedding=False)
        attributes = {"K": columns, "N": rows, "bits": how.bits, "block_size": how.group_size}
        if self.accuracy_level:
            attributes["accuracy_level"] = how.accuracy_level
        return become(graph, matmul, "MatMulNBits", [matmul.inputs[0], codes, scales], attributes)

    def _gather(self, graph: ir.Graph, gather: ir.Node, weight: ir.Value) -> str:
        codes, scales, how, _, _ = self._parts(graph, weight, embedding=True)
        attributes = {"bits": how.bits, "block_size": how.group_size, "gather_axis": 0, "quantize_axis": 1}
        return become(graph, gather, "GatherBlockQuantized", [codes, gather.inputs[1], scales], attributes)
