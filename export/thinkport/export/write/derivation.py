"""What a prefill graph's weights are made of: byte ranges of `weights.bin`, copied or rounded to int8.

Knows the two files' layouts. Must not know how a weight is rounded; the runtime does it.
"""

from dataclasses import replace

import onnx_ir as ir

from thinkport.export.quantize.recipes import ModelRecipe
from thinkport.export.trace.initializers import WeightSource
from thinkport.export.write.blobs import Blob, Layout
from thinkport.runtime.artifact.derivation import Derivation, Int8Weight, WeightCopy


def derivation(file: str, own: Layout, weights: str, shipped: Layout, recipe: ModelRecipe) -> Derivation:
    """How `file`, laid out as `own`, is made of the file `weights`, laid out as `shipped` and quantized by `recipe`."""
    copies = []
    rounded = []
    for (source, dtype), blob in own.places.items():
        if isinstance(source, str) or source.part not in ("int8", "int8_scales"):
            copies.append(WeightCopy(at=blob.offset, source=shipped.places[source, dtype].offset, bytes=blob.nbytes))
        elif source.part == "int8":
            rounded.append(_rounded(source, blob, own, shipped, recipe))
    return Derivation(file=file, bytes=own.nbytes, weights=weights, copies=copies, int8=rounded)


def _rounded(source: WeightSource, blob: Blob, own: Layout, shipped: Layout, recipe: ModelRecipe) -> Int8Weight:
    assert source.role is not None
    scales_at = own.places[replace(source, part="int8_scales"), ir.DataType.FLOAT]
    rows = int(scales_at.nbytes // ir.DataType.FLOAT.itemsize)
    columns = int(blob.nbytes // rows)
    stored = recipe.of(source.role).for_rows(columns)
    points = shipped.places.get((replace(source, part="points"), ir.DataType.UINT8))
    return Int8Weight(
        at=blob.offset,
        scales_at=scales_at.offset,
        rows=rows,
        columns=columns,
        codes=shipped.places[replace(source, part="codes"), ir.DataType.UINT8].offset,
        scales=shipped.places[replace(source, part="scales"), ir.DataType.FLOAT].offset,
        points=None if points is None else points.offset,
        bits=stored.bits,  # type: ignore[arg-type]  # the record checks it
        group_size=stored.group_size,
    )
