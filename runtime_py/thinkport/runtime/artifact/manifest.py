"""The artifact's manifest, `thinkport.json`: all that a reader of an artifact may rely on.

Knows the schema, how it is read and how an artifact's files are held against it. Must not know how an artifact is
made (export writes these same models) or how a graph is run.
"""

import hashlib
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationError, field_validator

from thinkport.runtime.artifact.block_hashes import BlockHashes, check_blocks
from thinkport.runtime.artifact.certificate import Certificate
from thinkport.runtime.artifact.plain_texts import odd_text
from thinkport.runtime.artifact.record import Record
from thinkport.runtime.artifact.strangers_file import parsed_json, read_strangers
from thinkport.runtime.errors import ArtifactError

SCHEMA_VERSION = 1
MANIFEST_NAME = "thinkport.json"
SIGNATURE_NAME = MANIFEST_NAME + ".minisig"  # beside it, of whoever signed the manifest; no file of the artifact
MODEL_CARD = "README.md"
KV_ITEM_BYTES = {"float32": 4, "float16": 2, "int8": 1}
# Those of ONNX Runtime's providers whose options have a `device_id` (https://onnxruntime.ai/docs/execution-providers).
_NUMBERED = ("CANN", "CUDA", "Dml", "MIGraphX", "NvTensorRTRTX", "ROCM", "Tensorrt")


# No real model comes near these; whoever makes a manifest up must not make its reader reserve memory by them.
_Layers = Annotated[int, Field(gt=0, le=4096)]
_Size = Annotated[int, Field(gt=0, le=1 << 24)]
_Heads = Annotated[int, Field(gt=0, le=1 << 16)]
_Id = Annotated[int, Field(ge=0, le=1 << 24)]
_WIDEST = 1 << 20  # of the keys of a token, in all heads


class FileRecord(Record):
    """Size in bytes and sha256 (hex) of one file of the artifact; of large ones also a fast hash of each block."""

    bytes: int = Field(ge=0, le=1 << 50)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    # Left out where it is None: readers from before it know no such key.
    blocks: BlockHashes | None = Field(default=None, exclude_if=lambda blocks: blocks is None)


class Source(Record):
    """The checkpoint an artifact was made from; `revision` is the resolved commit of a Hub checkpoint.

    `adapter` is what was merged into its weights.
    """

    id: str
    revision: str | None
    dtype: str
    adapter: str | None = None


class Mixture(Record):
    """The layers with experts: how many they are, MLPs in each, those that a token runs through, and an MLP's width.

    `normalized`: the weights of a token's experts are divided by their sum.
    """

    layers: _Layers
    experts: _Heads
    active: _Heads
    intermediate_size: _Size
    normalized: bool


class ModelShape(Record):
    """The model's numbers; `head_dim` is independent of `hidden_size`.

    `intermediate_size` is that of layers with one MLP; `mixture` is of those that have experts, None where none has.
    """

    family: str
    layers: _Layers
    hidden_size: _Size
    attention_heads: _Heads
    kv_heads: _Heads
    head_dim: _Heads
    intermediate_size: _Size
    vocab_size: _Size
    context_length: _Size
    tied_embeddings: bool
    rope_theta: float
    mixture: Mixture | None = None

    @property
    def mlps(self) -> str:
        """The layers' MLPs in words."""
        if self.mixture is None:
            return f"MLP {self.intermediate_size}"
        found = self.mixture
        experts = f"{found.experts} experts of {found.intermediate_size} a layer, {found.active} a token"
        dense = self.layers - found.layers
        return experts if dense == 0 else f"{experts}, and in {dense} layers MLP {self.intermediate_size}"


class RoleFormat(Record):
    """How the weights of one role are stored; `bits_per_weight` counts scales.

    `relative_error` is the squared rounding error over the squared sum of the weights; None where nothing was rounded.
    `kept`: the checkpoint's own integers, as they were; `zero_points`: its groups have zero points of their own.
    `rounded_plainly`: tensors that a calibrated recipe rounded without calibration, since hardly any text reached them.
    """

    bits: int
    group_size: int | None
    accuracy_level: int | None
    weights: int
    bits_per_weight: float
    relative_error: float | None = None
    zero_points: bool = False
    kept: bool = False
    rounded_plainly: int | None = None


class Recipe(Record):
    """The recipe that was applied: name, precision and the outcome by role (attention, mlp, embedding, lm_head).

    `notes` say in sentences what became of weights that the checkpoint held quantized, and whether hidden states are
    turned.
    """

    name: str
    precision: Literal["int4", "int8", "fp32"]
    bits_per_weight: float
    roles: dict[str, RoleFormat]
    notes: list[str] = Field(default_factory=list)


class PassRecord(Record):
    """One graph pass: how often it fired and the graph's node count and op counts after it."""

    name: str
    fired: int
    nodes_before: int
    nodes_after: int
    ops_after: dict[str, int]


class TensorSpec(Record):
    """A graph input or output: ONNX Runtime's element type (as `float32`) and shape; a str is a dynamic dimension."""

    name: str
    dtype: str
    shape: list[int | str]


class KvLayout(Record):
    """How a graph takes its KV cache.

    Buffers are (batch, kv_heads, capacity, `kv_width`) of `dtype`, in the memory of the graph's first provider.
    `in_place`: past and present are one buffer with room for later tokens; otherwise past is exactly as long as the
    tokens seen and present is past with the new ones added. `token_scales`: behind the codes of each token and head
    stands their scale, float32 in the place of four codes.
    """

    dtype: Literal["float32", "float16", "int8"]
    in_place: bool
    token_scales: bool = Field(default=False, exclude_if=lambda there: not there)


SCALE_BYTES = 4


def kv_width(model: ModelShape, kv: KvLayout) -> int:
    """Items of the KV cache that a key or value of one token and head takes."""
    return model.head_dim + SCALE_BYTES * kv.token_scales


def kv_bytes(model: ModelShape, kv: KvLayout) -> int:
    """Bytes of the KV cache that one token takes."""
    return 2 * model.layers * model.kv_heads * kv_width(model, kv) * KV_ITEM_BYTES[kv.dtype]


class Native(Record):
    """A graph that computes what another one does, in thinkport's own operators, whose version is `operators`.

    It needs the package thinkport-kernels, runs prompts of any length itself, and is held against what the other one
    gives.
    """

    graph: "Graph"
    operators: int = Field(gt=0)


class Graph(Record):
    """One graph file and what it needs. Providers are in order of preference.

    `activations` is the type that it computes in; logits are float32 in every graph. `several_tokens_over_past`: a step
    of more than one token may follow others; without it, only an empty cache takes several. `memory_pattern`: False
    where the provider refuses sessions that plan memory ahead. `plain_norms`: a variant whose norms are spelled out,
    for devices where the fused ones are wrong; asked for by its name. `graph_capture`: every node that computes on
    tensors runs on the first provider, so that a runtime of fixed shapes may capture the graph and replay it.
    `prefill_chunk` is how many tokens of a prompt one step takes on any device. A device that is proved right with
    more may take `proven_chunk`; None where more is not faster. `native`: what runs in its place where thinkport's
    kernels are installed. `prefill`: in artifacts of before, a graph for long prompts; it is ignored and never written.
    """

    file: str
    target: str
    providers: list[str] = Field(min_length=1)
    onnxruntime_floor: str
    fused: bool
    nodes: int
    kv: KvLayout
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    several_tokens_over_past: bool
    prefill_chunk: _Size
    # Left out where it is None: readers from before it know no such key.
    proven_chunk: int | None = Field(default=None, gt=0, exclude_if=lambda chunk: chunk is None)
    activations: Literal["float32", "float16", "bfloat16"] = "float32"
    memory_pattern: bool = True
    plain_norms: bool = False
    graph_capture: bool = False
    prefill: JsonValue = Field(default=None, exclude=True)
    native: Native | None = Field(default=None, exclude_if=lambda native: native is None)

    @property
    def has_devices(self) -> bool:
        """Whether its first provider takes the number of a device."""
        return self.providers[0].removesuffix("ExecutionProvider") in _NUMBERED


class ThinkingIds(Record):
    """Ids of `<think>` and `</think>`."""

    start: _Id
    end: _Id


class SamplingPreset(Record):
    """Sampling values as in a generation_config.json; a temperature of 0 is greedy, a top_k of 0 is no limit."""

    temperature: float = Field(ge=0)
    top_k: int = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    min_p: float = Field(ge=0, le=1)
    presence_penalty: float
    repetition_penalty: float = Field(gt=0)


class Presets(Record):
    """The sampling presets of the two modes."""

    thinking: SamplingPreset
    answering: SamplingPreset


class Task(StrEnum):
    """What an artifact is for. A member's text is what the command line and messages call it."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    RERANK = "rerank"


class Embedding(Record):
    """How a text becomes a vector: the hidden state behind its last token, after the final norm, of length 1.

    A query is `prompt` with an instruction in place of `{instruction}`, and the text; a document is `document_prompt`
    and the text. `instruction` is the checkpoint's own, None where it names none. `start_ids` and `end_ids` stand
    around all of it. `dimensions` is the vector's full width.
    """

    dimensions: int = Field(gt=0)
    prompt: str
    instruction: str | None
    document_prompt: str
    start_ids: list[_Id]
    end_ids: list[_Id]


class Reranking(Record):
    """How a document is scored for a query: the share of `yes_id` among the probabilities of `yes_id` and `no_id`.

    They are those of the token after `prefix`, `body` and `suffix`. `body` has the instruction, the query and the
    document in place of `{instruction}`, `{query}` and `{document}`; `instruction` is the one of a call without any.
    """

    prefix: str
    body: str
    suffix: str
    instruction: str
    yes_id: _Id
    no_id: _Id


class Manifest(Record):
    """`thinkport.json`. Unknown keys are an error: a newer writer raises `schema_version`.

    `enable_thinking` is the default of every reply; None leaves it to the chat template. `manifest_sha256` is the
    file's own, see `manifest_seal`. `embedding` and `reranking` are of artifacts that embed or rerank; at most one is
    there. The graphs of one that embeds give hidden states, which have `embedding.dimensions` columns, not logits.
    """

    schema_version: Literal[1]
    manifest_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    name: str
    created: str
    tools: dict[str, str]
    source: Source
    model: ModelShape
    recipe: Recipe
    passes: list[PassRecord]
    graphs: list[Graph] = Field(min_length=1)
    tokenizer: str
    chat_template: str
    special_tokens: dict[str, str]
    thinking: ThinkingIds | None
    enable_thinking: bool | None = None
    stop_ids: list[_Id]
    sampling: Presets
    certificate: Certificate | None
    embedding: Embedding | None = None
    reranking: Reranking | None = None
    files: dict[str, FileRecord]

    @property
    def task(self) -> Task:
        """What the artifact is for."""
        return Task.EMBEDDING if self.embedding else Task.RERANK if self.reranking else Task.CHAT

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, FileRecord]) -> dict[str, FileRecord]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not path.parts:
                raise ValueError(f"{name!r} leads out of the artifact's folder")
        return files


def read_manifest(folder: Path) -> Manifest:
    """Read and check `thinkport.json` of an artifact folder; hashes are not computed.

    Raises:
        ArtifactError: no folder, no manifest, a newer schema, a malformed manifest, a path leading out, a file that is
            used but not listed, an id that the model doesn't have, or a text that would take over a terminal.
    """
    path = folder / MANIFEST_NAME
    if folder.is_file():
        raise ArtifactError(
            f"{folder} is a file, expected an artifact's folder: make one of a checkpoint, or of a .gguf file, with "
            "`thinkport export`"
        )
    if not folder.is_dir():
        raise ArtifactError(f"no artifact at {folder}: expected a folder that `thinkport export` wrote")
    try:
        raw = parsed_json(read_strangers(path).decode("utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"{folder} has no {MANIFEST_NAME}: not an artifact; make one with `thinkport export`"
        ) from None
    except OSError as error:
        raise ArtifactError(f"{path} can't be read ({error.strerror or error}): export the artifact again") from error
    except ValueError as error:
        raise ArtifactError(f"{path} can't be read ({error}): export the artifact again") from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ArtifactError(
            f"{path} has schema version {version}, this thinkport reads up to {SCHEMA_VERSION}: upgrade thinkport"
        )
    odd = odd_text(raw)
    if odd is not None:
        raise ArtifactError(
            f"{path}: {odd}: it would change how a terminal shows it; take no artifact from whoever made this one"
        )
    try:
        manifest = Manifest.model_validate(raw)
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "nested too deeply"}
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise ArtifactError(f"{path}: {where}: {first['msg']}: export the artifact again") from error
    _check_names(path, manifest)
    _check_ids(path, manifest)
    return manifest


def _check_ids(path: Path, manifest: Manifest) -> None:
    """Every id must be one of the model's vocabulary, and a token's keys no wider than those of any model."""
    model, ids = manifest.model, {f"stop_ids.{at}": one for at, one in enumerate(manifest.stop_ids)}
    for where, record in (("thinking", manifest.thinking), ("reranking", manifest.reranking)):
        named = record.model_dump() if record else {}
        ids |= {f"{where}.{name}": one for name, one in named.items() if isinstance(one, int)}
    if manifest.embedding:
        around = [*manifest.embedding.start_ids, *manifest.embedding.end_ids]
        ids |= {f"embedding.{at}": one for at, one in enumerate(around)}
    for where, one in ids.items():
        if one >= model.vocab_size:
            raise ArtifactError(
                f"{path}: {where} is {one}, and the model has {model.vocab_size} ids: export the artifact again"
            )
    for at, graph in enumerate(manifest.graphs):
        if all(spec.name.startswith("present.") for spec in graph.outputs):
            raise ArtifactError(f"{path}: graphs.{at}.outputs has none but the KV cache: export the artifact again")
    if max(model.attention_heads, model.kv_heads) * model.head_dim > _WIDEST:
        raise ArtifactError(
            f"{path}: {model.attention_heads} heads and {model.kv_heads} KV heads of {model.head_dim}: no model has "
            "such wide ones; export the artifact again"
        )


def _check_names(path: Path, manifest: Manifest) -> None:
    """Every file that is read by name must be one of `files`, whose paths stay inside and whose sizes are compared.

    Not a check of the model: an export makes its manifest before it knows the files.
    """
    named = {"tokenizer": manifest.tokenizer, "chat_template": manifest.chat_template}
    named |= {f"graphs.{at}.file": graph.file for at, graph in enumerate(manifest.graphs)}
    for at, graph in enumerate(manifest.graphs):
        if graph.native:
            named[f"graphs.{at}.native.graph.file"] = graph.native.graph.file
    if manifest.certificate:
        named["certificate.goldens"] = manifest.certificate.goldens
    for where, name in named.items():
        if name not in manifest.files:
            raise ArtifactError(f"{path}: {where}: {name!r} is not among the artifact's files: export it again")


def check_files(folder: Path, manifest: Manifest, *, verify: bool = False, blocks: bool = False) -> None:
    """Hold every file against its recorded size, with `blocks` against the hashes of its blocks where it has some, and
    with `verify` against its sha256.

    The model card is for people, who may edit it or leave it out: only `verify` looks at it.

    Raises:
        ArtifactError: a file is missing, of another size, or (with `verify`) of another content.
    """
    for name, record in manifest.files.items():
        path = folder / name
        if name == MODEL_CARD and not verify:
            continue
        if not path.is_file():
            raise ArtifactError(f"{path} is missing: copy the whole artifact folder again or export it again")
        size = path.stat().st_size
        if size != record.bytes:
            raise ArtifactError(f"{path} has {size} bytes, expected {record.bytes}: the file is damaged, copy it again")
        if blocks and not verify and record.blocks is not None:
            check_blocks(path, record.blocks)
        if verify:
            found = hash_file(path)
            if found != record.sha256:
                raise wrong_hash(path, found, record)


def wrong_hash(path: Path, found: str, record: FileRecord) -> ArtifactError:
    """What to say of a file whose sha256 is `found` (hex)."""
    return ArtifactError(
        f"{path} does not have the recorded sha256: found {found[:12]}…, recorded {record.sha256[:12]}…: the file was "
        "changed or damaged, copy it again, fetch it again or export the artifact again"
    )


def hash_file(path: Path) -> str:
    """The sha256 of a file as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: Path) -> str:
    """The sha256 of an artifact's manifest, which lists every other file's: two artifacts with one have one content.

    Raises:
        ArtifactError: no manifest can be read there.
    """
    try:
        return hash_file(folder / MANIFEST_NAME)
    except OSError as error:
        raise ArtifactError(f"{folder / MANIFEST_NAME} can't be read ({error}): export the artifact again") from error
