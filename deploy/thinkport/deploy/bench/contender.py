"""What a benchmark measures, and what takes part in it: an artifact, or another engine's model with its program."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from thinkport.deploy.bench import workers
from thinkport.deploy.bench.talk import TalkPlan, TalkSeconds
from thinkport.runtime.artifact.manifest import MANIFEST_NAME
from thinkport.runtime.errors import InputError
from thinkport.runtime.providers.kernels import Kernels
from thinkport.runtime.providers.ort import AUTO

KERNELS = "kernels-"  # before a kernel set's name or "off": the artifact itself, with those
_WORKERS = Path(workers.__path__[0])


@dataclass(frozen=True, kw_only=True)
class BenchPlan:
    """The contexts that one token is decoded at and the prompts' lengths, in tokens, and how often each is measured.

    `steps` tokens are decoded at each context and their median counts. Each of the `rounds` runs every contender once,
    in a new process, so that all of them see the machine's slow and fast minutes; one round before them warms up and
    does not count. `talk` is a conversation whose seconds are taken too. With `clients`, nothing is measured but what
    so many get at the same time at each context. Artifacts are loaded with `provider` and `kernels`, as `Model.load`
    takes them.
    """

    contexts: tuple[int, ...] = (128, 1024, 4096)
    prefills: tuple[int, ...] = (512,)
    threads: int = 2
    steps: int = 16
    rounds: int = 3
    overhead: bool = True
    talk: TalkPlan | None = None
    clients: tuple[int, ...] = ()
    provider: str = AUTO
    kernels: str = AUTO

    def __post_init__(self) -> None:
        for name, values in (("context", self.contexts), ("prefill", self.prefills), ("clients", self.clients)):
            if len(set(values)) < len(values) or (values and min(values) < 1):
                raise InputError(
                    f"--{name} is {','.join(map(str, values))}, expected different numbers, each 1 or more"
                )
        for name in ("threads", "steps", "rounds"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} is {getattr(self, name)}, expected 1 or more")

    @property
    def longest(self) -> int:
        """The most tokens that a cache has to hold."""
        talk = self.talk.longest if self.talk else 1
        return max([*self.prefills, *(context + self.steps for context in self.contexts), talk])

    def for_worker(self) -> str:
        """The plan as the JSON that a worker takes as its last argument."""
        return json.dumps(asdict(self))


class Kind(StrEnum):
    """Which engine runs a model."""

    ARTIFACT = "thinkport"
    ONNX = "onnxruntime"
    OPENVINO = "openvino"
    LLAMA = "llama.cpp"


_NEEDS = {
    Kind.ARTIFACT: "thinkport and onnxruntime",
    Kind.ONNX: "onnxruntime",
    Kind.OPENVINO: "openvino-genai",
    Kind.LLAMA: "llama.cpp's llama-bench, and llama-server beside it for --clients",
}


@dataclass(frozen=True, kw_only=True)
class DeviceBytes:
    """Where a graph has its KV cache on a device: the bytes of a step after `context` tokens, the longest measured.

    `given` and `returned` cross between the CPU and ONNX Runtime at a step. `cache` is the KV cache on the device,
    `grown` what its allocator holds where the cache grew there step by step.
    """

    context: int
    given: int
    returned: int
    cache: int
    grown: int


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one process measured: tokens per second by length, seconds and bytes; None is not known.

    `graph` is the file that an artifact ran. `import_s` is the part of `first_token_s` before the load, `files_s` the
    part of `load_s` that checked its files against the manifest. `private_bytes` is the process's own memory after its
    first token, `context_bytes` its memory with a cache of a context. `weights_pages` and `kv_pages` are bytes in
    memory that the system was asked to make huge pages of, and those that are in huge pages: of native kernels'
    weights, and of a KV cache of the longest context. `device` is None where the KV cache is in the CPU's memory.
    `talk` is None where the plan has no conversation. `together` has tokens per second of all clients by context and
    number of clients.
    """

    engine: str
    prefill: dict[int, float] = field(default_factory=dict)
    decode: dict[int, float] = field(default_factory=dict)
    import_s: float | None = None
    load_s: float | None = None
    files_s: float | None = None
    first_token_s: float | None = None
    private_bytes: int | None = None
    engine_share: float | None = None
    context_bytes: dict[int, int] = field(default_factory=dict)
    graph: str | None = None
    weights_pages: tuple[int, int] | None = None
    kv_pages: tuple[int, int] | None = None
    device: DeviceBytes | None = None
    talk: TalkSeconds | None = None
    together: dict[int, dict[int, float]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a worker's JSON, whose lengths are strings.

        Raises:
            ValueError: it is something else.
        """
        facts: dict[str, Any] = json.loads(text)
        for key in {"prefill", "decode", "context_bytes"} & facts.keys():
            facts[key] = {int(length): value for length, value in facts[key].items()}
        facts["together"] = {
            int(context): {int(count): speed for count, speed in found.items()}
            for context, found in facts.get("together", {}).items()
        }
        kinds: dict[str, Any] = {"device": DeviceBytes, "talk": TalkSeconds}
        for key, kind in kinds.items():
            if facts.get(key):
                facts[key] = kind(**facts[key])
        return cls(**facts)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A model at `path` and the `program` that runs its worker: a Python, or llama-bench.

    `kernels` are an artifact's that are not the plan's.
    """

    kind: Kind
    path: Path
    program: str
    kernels: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `PATH` or `PATH=PROGRAM`; the path's content says which engine runs it.

        Raises:
            InputError: there is nothing that an engine runs.
        """
        name, _, program = text.partition("=")
        kind = _kind(Path(name))
        default = "llama-bench" if kind is Kind.LLAMA else sys.executable
        return cls(kind=kind, path=Path(name), program=program or default)

    @property
    def name(self) -> str:
        """Its name in tables."""
        name = self.path.resolve().name
        return name if self.kernels is None else f"{name} {KERNELS}{self.kernels}"

    def with_kernels(self, text: str) -> Self:
        """This artifact with the kernels that `kernels-off` or `kernels-SET` names.

        Raises:
            InputError: they can't be had here.
        """
        return replace(self, kernels=Kernels.here(text.removeprefix(KERNELS)).asked)

    def measure(self, plan: BenchPlan) -> Sample:
        """Run the worker in a new process.

        Raises:
            InputError: it fails; the message has its last line.
        """
        try:
            done = subprocess.run(self._command(plan), capture_output=True, text=True, encoding="utf-8", check=False)
            return Sample.parse(done.stdout.strip().rpartition("\n")[2])
        except OSError as error:
            reason = str(error)
        except (ValueError, TypeError, KeyError):
            reason = (done.stderr.strip() or done.stdout.strip() or "it wrote nothing").rpartition("\n")[2]
        raise InputError(
            f"{self.path} can't be measured with {self.program}: {reason}; "
            f"expected a program with {_NEEDS[self.kind]}: --against {self.path}=PROGRAM"
        )

    def _command(self, plan: BenchPlan) -> Sequence[str]:
        if self.kernels is not None:
            plan = replace(plan, kernels=self.kernels)
        model, asked = str(self.path), plan.for_worker()
        if self.kind is Kind.ARTIFACT:
            worker = "clients_worker" if plan.clients else "artifact_worker"
            return [self.program, "-m", f"{workers.__name__}.{worker}", model, asked]
        worker = str(_WORKERS / f"{self.kind.name.lower()}_worker.py")
        if self.kind is Kind.LLAMA:
            return [sys.executable, worker, model, asked, self.program]
        return [self.program, worker, model, asked]


def _kind(path: Path) -> Kind:
    """The engine by the path's content; the manifest comes first, since onnxruntime-genai opens an artifact too."""
    signs = ((MANIFEST_NAME, Kind.ARTIFACT), ("model.onnx", Kind.ONNX), ("openvino_model.xml", Kind.OPENVINO))
    for file, kind in signs:
        if (path / file).is_file():
            return kind
    suffixes = {".onnx": Kind.ONNX, ".gguf": Kind.LLAMA}
    if path.is_file() and path.suffix.lower() in suffixes:
        return suffixes[path.suffix.lower()]
    raise InputError(
        f"{path} is no model that can be measured: expected an artifact, a folder with model.onnx or "
        "openvino_model.xml, an .onnx or a .gguf file"
    )
