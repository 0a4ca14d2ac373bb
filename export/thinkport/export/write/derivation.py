"""What a prefill graph's weights are made of: byte ranges of `weights.bin`, copied or rounded to int8.

Knows the two files' layouts. Must not know how a weight is rounded; the runtime does it.
"""

from collections.abc import Callable
from dataclasses import replace

import onnx_ir as ir

from thinkport.export.quantize.recipes import RoleRecipe
from thinkport.export.trace.source import Part, Source
from thinkport.export.write.blobs import Blob, Layout
from thinkport.runtime.artifact.derivation import Derivation, Int8Weight, WeightCopy

HowStored = Callable[[str], RoleRecipe]
"""How the weights of a role are stored, by the role's name."""


def derivation(file: str, own: Layout, weights: str, shipped: Layout, how: HowStored) -> Derivation:
    """How `file`, laid out as `own`, is made of the file `weights`, laid out as `shipped`."""
    copies = []
    rounded = []
    for (source, dtype), blob in own.places.items():
        if isinstance(source, str) or source.part not in ("int8", "int8_scales"):
            copies.append(WeightCopy(at=blob.offset, source=shipped.places[source, dtype].offset, bytes=blob.nbytes))
        elif source.part == "int8":
            rounded.append(_rounded(source, blob, own, shipped, how))
    return Derivation(file=file, bytes=own.nbytes, weights=weights, copies=copies, int8=rounded)


def _rounded(source: Source, blob: Blob, own: Layout, shipped: Layout, how: HowStored) -> Int8Weight:
    assert source.role is not None
    stored = how(source.role)
    scales_at = own.places[_part(source, "int8_scales"), ir.DataType.FLOAT]
    rows = scales_at.nbytes // ir.DataType.FLOAT.itemsize
    return Int8Weight(
        at=blob.offset,
        scales_at=scales_at.offset,
        rows=int(rows),
        columns=int(blob.nbytes // rows),
        codes=shipped.places[_part(source, "codes"), ir.DataType.UINT8].offset,
        scales=shipped.places[_part(source, "scales"), ir.DataType.FLOAT].offset,
        bits=stored.bits,  # type: ignore[arg-type]  # the record checks it
        group_size=stored.group_size,
    )


def _part(source: Source, part: Part) -> Source:
    return replace(source, part=part)
