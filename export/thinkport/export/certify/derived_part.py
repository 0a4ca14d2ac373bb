"""A part of a prefill graph over a file of its own derived weights, as small as the part.

Knows byte ranges. Must not know how a weight is derived; the runtime does it.
"""

from collections.abc import Mapping

import onnx_ir as ir

from thinkport.export.certify.graph_parts import GraphPart
from thinkport.export.write.blobs import PAGE
from thinkport.runtime.artifact.derivation import Derivation


def moved(part: GraphPart, whole: Derivation) -> Derivation:
    """How a file with the weights of `part` alone is derived; the part reads them from there from now on."""
    tensors = [value.const_value for value in part.model.graph.initializers.values()]
    read = {tensor.offset or 0: tensor.nbytes for tensor in tensors if isinstance(tensor, ir.ExternalTensor)}
    places, size = _placed(read)
    for value in part.model.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            value.const_value = _at(value.const_value, places[value.const_value.offset or 0])
    return Derivation(
        file=whole.file,
        bytes=size,
        weights=whole.weights,
        copies=[copy.model_copy(update={"at": places[copy.at]}) for copy in whole.copies if copy.at in places],
        int8=[
            weight.model_copy(update={"at": places[weight.at], "scales_at": places[weight.scales_at]})
            for weight in whole.int8
            if weight.at in places
        ],
    )


def _placed(read: Mapping[int, int]) -> tuple[dict[int, int], int]:
    """New places, at pages, by old ones, of blobs of known sizes; and the size of all."""
    places, end = {}, 0
    for old in sorted(read):
        places[old] = end
        end += -(-read[old] // PAGE) * PAGE
    return places, end


def _at(tensor: ir.ExternalTensor, offset: int) -> ir.ExternalTensor:
    return ir.ExternalTensor(
        tensor.location,
        offset,
        tensor.length,
        tensor.dtype,
        shape=tensor.shape,
        name=tensor.name,
        base_dir=tensor.base_dir,
    )
