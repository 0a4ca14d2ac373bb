"""A part of a prefill graph over a file of its own derived weights, as small as the part.

Knows byte ranges. Must not know how a weight is derived; the runtime does it.
"""

import onnx_ir as ir

from thinkport.export.certify.graph_parts import GraphPart
from thinkport.export.write.blobs import PAGE
from thinkport.runtime.artifact.derivation import Derivation


def moved(part: GraphPart, whole: Derivation) -> Derivation:
    """How a file with the weights of `part` alone is derived; the part reads them from there from now on."""
    values = part.model.graph.initializers.values()
    weights = [(value, value.const_value) for value in values if isinstance(value.const_value, ir.ExternalTensor)]
    places, end = {}, 0
    for at, size in sorted({tensor.offset or 0: tensor.nbytes for _, tensor in weights}.items()):
        places[at] = end
        end += -(-size // PAGE) * PAGE
    for value, old in weights:
        value.const_value = ir.ExternalTensor(
            old.location,
            places[old.offset or 0],
            old.length,
            old.dtype,
            shape=old.shape,
            name=old.name,
            base_dir=old.base_dir,
        )
    copies = [copy.model_copy(update={"at": places[copy.at]}) for copy in whole.copies if copy.at in places]
    int8 = [
        weight.model_copy(update={"at": places[weight.at], "scales_at": places[weight.scales_at]})
        for weight in whole.int8
        if weight.at in places
    ]
    return whole.model_copy(update={"bytes": end, "copies": copies, "int8": int8})
