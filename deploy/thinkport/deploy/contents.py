"""What is inside an artifact, from its manifest and its files' sizes alone. Opens no graph, prints nothing."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from thinkport.runtime.artifact.manifest import Manifest, PassRecord, TensorSpec, check_files, kv_bytes, read_manifest
from thinkport.runtime.artifact.verdict import verdicts_as_json

KV_CONTEXTS = (1024, 4096, 40960)  # a short chat, a long thought, the whole context of a published Qwen3


@dataclass(frozen=True, kw_only=True)
class KvMemory:
    """Bytes of a graph's KV cache for one conversation of `tokens`; `asked` is the length before the model's limit."""

    graph: str
    dtype: str
    asked: int
    tokens: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class PassDelta:
    """What one pass did to the count of each operator: negative for removed nodes."""

    record: PassRecord
    change: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """An artifact whose files have their recorded sizes and, where it is `verified`, their recorded sha256."""

    folder: Path
    manifest: Manifest
    verified: bool

    @property
    def file_count(self) -> int:
        """All files of the folder, the manifest too; see `file_count`."""
        return file_count(self.manifest)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files that the manifest lists."""
        return sum(record.bytes for record in self.manifest.files.values())

    @property
    def kv_memory(self) -> list[KvMemory]:
        """The cache's size, graph by graph, at `KV_CONTEXTS`."""
        model, found = self.manifest.model, []
        for graph in self.manifest.graphs:
            for asked in KV_CONTEXTS:
                tokens = min(asked, model.context_length)
                size = tokens * kv_bytes(model, graph.kv)
                found.append(KvMemory(graph=graph.file, dtype=graph.kv.dtype, asked=asked, tokens=tokens, bytes=size))
        return found

    @property
    def passes(self) -> list[PassDelta]:
        """Each pass with the operators it added and removed."""
        # The first record has nothing to be compared with: its change is unknown unless it left the graph alone.
        counts = [Counter(record.ops_after) for record in self.manifest.passes]
        known = ({op: b[op] - a[op] for op in sorted(a | b) if a[op] != b[op]} for a, b in pairwise(counts))
        changes: list[dict[str, int]] = [{}, *known]
        return [PassDelta(record=r, change=change) for r, change in zip(self.manifest.passes, changes, strict=False)]

    def as_json(self) -> dict[str, Any]:
        """The manifest with what is derived from it, for programs."""
        return {
            "folder": str(self.folder),
            "verified": "sha256" if self.verified else "sizes",
            "total_bytes": self.total_bytes,
            "kv_memory": [vars(entry) for entry in self.kv_memory],
            "pass_changes": {delta.record.name: delta.change for delta in self.passes},
            "verdict": verdicts_as_json(certificate) if (certificate := self.manifest.certificate) else None,
            "manifest": self.manifest.model_dump(mode="json"),
        }


def file_count(manifest: Manifest) -> int:
    """The files of an artifact's folder: those that the manifest lists, and the manifest."""
    return len(manifest.files) + 1


def look_inside(folder: Path, *, verify: bool = False) -> Contents:
    """Read an artifact's manifest and hold its files against it, with `verify` by sha256.

    Raises:
        ArtifactError: no artifact there, or a file that is missing or changed.
    """
    manifest = read_manifest(folder)
    check_files(folder, manifest, verify=verify)
    return Contents(folder=folder, manifest=manifest, verified=verify)


def folded(specs: list[TensorSpec]) -> list[tuple[str, TensorSpec]]:
    """One line for each run of per-layer tensors: (name with the layers' range, any one of them)."""
    layers: dict[tuple[str, str, tuple[int | str, ...]], list[tuple[str, TensorSpec]]] = {}
    for spec in specs:
        number = next((part for part in spec.name.split(".") if part.isdecimal()), "")
        pattern = ".".join("{}" if part == number and number else part for part in spec.name.split("."))
        layers.setdefault((pattern, spec.dtype, tuple(spec.shape)), []).append((number, spec))
    lines = []
    for (pattern, _, _), group in layers.items():
        (first, spec), (last, _) = group[0], group[-1]
        lines.append((pattern.replace("{}", first if len(group) == 1 else f"{first}-{last}"), spec))
    return lines
