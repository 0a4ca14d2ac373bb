"""The ordered list of passes, and the run of it.

Adding a pass is one file in `passes/` and one line here. The order carries its reasons.
"""

from collections import Counter
from collections.abc import Sequence

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass
from thinkport.runtime.manifest import PassRecord


def run_passes(model: ir.Model, passes: Sequence[GraphPass], layers: int) -> list[PassRecord]:
    """Run every pass and record what it did.

    Raises:
        GraphError: a pass did not fire as often as it declares.
    """
    records = []
    for graph_pass in passes:
        before = len(list(model.graph))
        fired = graph_pass.run(model, layers)
        ops = Counter(node.op_type for node in model.graph)
        records.append(
            PassRecord(
                name=graph_pass.name,
                fired=fired,
                nodes_before=before,
                nodes_after=ops.total(),
                ops_after=dict(sorted(ops.items())),
            )
        )
    return records
