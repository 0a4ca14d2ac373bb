"""Writes `weights.bin`: each weight is read, quantized and written in blocks of rows, and none is kept.

Knows the plan, the checkpoint and the recipe. Must not know a graph.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from threadpoolctl import threadpool_limits

from thinkport.export.calibrate import LayerInputs
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.errors import GraphError
from thinkport.export.progress import Advance
from thinkport.export.quantize.compensate import Compensation, compensation
from thinkport.export.quantize.recipes import ModelRecipe
from thinkport.export.quantize.stream import (
    RoundingError,
    RowBlock,
    alternating_rows,
    kept_blocks,
    quantize_blocks,
    row_ranges,
)
from thinkport.export.trace.initializers import WeightSource
from thinkport.export.write.blobs import Blob, Layout
from thinkport.runtime.artifact.block_hashes import BlockHasher, check_blocks
from thinkport.runtime.artifact.manifest import FileRecord

_BLOCK_BYTES = 16 << 20


@dataclass
class WeightsFile:
    """Writes a layout front to back and hashes it on the way.

    `errors` holds the cost of rounding by role; `unheard` counts the tensors that were rounded without calibration
    because no text reached them. `advance` is called with the bytes that were written. With `inputs`, 4-bit
    matrices are rounded with compensation, but not a table of embeddings, which is never multiplied.
    """

    path: Path
    layout: Layout
    checkpoint: Checkpoint
    recipe: ModelRecipe | None
    workers: int
    advance: Advance
    inputs: LayerInputs | None = None
    errors: dict[str, RoundingError] = field(default_factory=dict)
    unheard: Counter[str] = field(default_factory=Counter)

    def write(self) -> FileRecord:
        """Write the whole file and return its size, its sha256 and the hashes of its blocks.

        Raises:
            CheckpointError: a tensor can't be read, or holds NaN or infinity.
            OSError: the file can't be written.
            ArtifactError: it can't be read back as it was written.
        """
        digest, hasher = hashlib.sha256(), BlockHasher()
        blobs = list(self.layout.blobs)
        with (
            threadpool_limits(1, "blas"),  # BLAS's own threads, beside the workers, make it a third slower
            self.path.open("wb") as file,
            ThreadPoolExecutor(self.workers) as pool,
            ThreadPoolExecutor(1) as ahead,
        ):
            output = _Output(file, (digest.update, hasher.update), self.advance)
            compensations = self._compensations(self.layout.blobs, ahead)
            while blobs:
                blob = blobs.pop(0)
                output.pad_to(blob.offset)
                if blob.constant is not None:
                    output.put(blob.constant)
                elif blob.source is not None and blob.source.part == "whole":
                    self._copy(blob, output)
                else:
                    beside = list(takewhile(partial(_is_beside, blob), blobs))
                    del blobs[: len(beside)]
                    self._quantize(blob, beside, output, pool, compensations)
        record = FileRecord(bytes=output.position, sha256=digest.hexdigest(), blocks=hasher.hashes)
        check_blocks(self.path, hasher.hashes)  # as it lies on the disk, or in the system's memory of it
        return record

    def _copy(self, blob: Blob, output: "_Output") -> None:
        source = blob.source
        assert source is not None
        groups = source.matrices if source.interleaved else [(name,) for name in source.tensors]
        row_bytes = 4 * max(1, self.checkpoint.tensors[source.tensors[0]].row_weights)
        for names, start, stop, _ in row_ranges(self.checkpoint, groups, _BLOCK_BYTES // row_bytes):
            block = alternating_rows(self.checkpoint, names, start, stop)
            output.put(block.astype(blob.dtype.numpy(), copy=False))

    def _quantize(
        self,
        codes: Blob,
        beside: list[Blob],
        output: "_Output",
        pool: ThreadPoolExecutor,
        compensations: Iterator[Compensation | None],
    ) -> None:
        """Write the codes as they come, then the scales and zero points.

        These are a few per cent of the codes and wait in memory.
        """
        source = codes.source
        assert source is not None
        if not beside:
            raise GraphError(f"the codes of {source.tensors[0]} are not followed by their scales in the plan")
        parts: dict[str, list[np.ndarray]] = {"scales": [], "points": []}
        error = RoundingError()
        for block in self._blocks(source, pool, compensations):
            output.put(block.packed)
            parts["scales"].append(block.scales)
            if block.points is not None:
                parts["points"].append(block.points)
            error += block.error
        if error.weights:  # integers that are kept were not rounded
            assert source.role is not None
            self.errors[source.role] = self.errors.get(source.role, RoundingError()) + error
        for blob in beside:
            assert blob.source is not None
            output.pad_to(blob.offset)
            for part in parts[blob.source.part]:
                output.put(part.astype(blob.dtype.numpy(), copy=False))

    def _blocks(
        self, source: WeightSource, pool: ThreadPoolExecutor, compensations: Iterator[Compensation | None]
    ) -> Iterator[RowBlock]:
        assert source.role is not None
        assert self.recipe is not None
        how = self.recipe.of(source.role)
        settings: dict[str, Any] = {"pool": pool, "workers": self.workers}
        for names in source.matrices:
            compensation = next(compensations)
            if how.kept:
                yield from kept_blocks(self.checkpoint, names, how, **settings)
                continue
            settings |= {"compensation": compensation, "interleaved": source.interleaved}
            yield from quantize_blocks(self.checkpoint, names, how, **settings)

    def _compensations(self, blobs: Sequence[Blob], ahead: ThreadPoolExecutor) -> Iterator[Compensation | None]:
        """The compensation of each quantized matrix, in order; each is found while the matrix before it is rounded."""
        sources = (blob.source for blob in blobs if blob.source is not None and blob.source.part == "codes")
        matrices = ((source, names) for source in sources for names in source.matrices)
        pending = [ahead.submit(self._compensation, *matrix) for matrix in islice(matrices, 1)]
        while pending:
            found = pending.pop()
            pending += [ahead.submit(self._compensation, *matrix) for matrix in islice(matrices, 1)]
            yield found.result()

    def _compensation(self, source: WeightSource, names: Sequence[str]) -> Compensation | None:
        """None for what is rounded plainly: a table of embeddings, an expert that hardly any text reaches, and 8 bits.

        What compensation would spare of an 8-bit matrix is nothing beside the errors of 4-bit ones: 256 times as large.
        """
        assert source.role is not None
        assert self.recipe is not None
        if self.inputs is None or source.role == "embedding" or self.recipe.of(source.role).bits == 8:
            return None
        found = self.inputs.of(names[0])
        if found is None:
            self.unheard[source.role] += len(names)
            return None
        return compensation(found)


def _is_beside(codes: Blob, blob: Blob) -> bool:
    """Whether a blob holds the scales or the zero points of codes."""
    assert codes.source is not None
    if blob.source is None or blob.source.part not in ("scales", "points"):
        return False
    return blob.source.tensors == codes.source.tensors


@dataclass
class _Output:
    """A file written front to back."""

    file: BinaryIO
    updates: Sequence[Callable[[memoryview], None]]
    advance: Advance
    position: int = 0

    def put(self, array: np.ndarray) -> None:
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        self.file.write(data)
        for update in self.updates:
            update(data)
        self.position += len(data)
        self.advance(len(data))

    def pad_to(self, offset: int) -> None:
        if offset > self.position:
            self.put(np.zeros(offset - self.position, np.uint8))
