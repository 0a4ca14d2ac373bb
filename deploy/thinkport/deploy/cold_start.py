"""How long a fresh process takes from its start to a first token, and how much memory that takes.

`cold_start` starts the process, which is this module run as a program; it measures itself step by step.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from thinkport.runtime.artifact.manifest import kv_bytes
from thinkport.runtime.engine.kv_cache import capacity_for
from thinkport.runtime.engine.session import LaneSource, Session
from thinkport.runtime.errors import ThinkportError
from thinkport.runtime.providers.ort import AUTO

PROMPT_TOKENS = 16
_TEXT = "the quick brown fox "
_KIB = 1024
_ROLLUP = Path("/proc/self/smaps_rollup")


class ColdStartError(ThinkportError):
    """The measured process failed."""


@dataclass(frozen=True, kw_only=True)
class ProcessMemory:
    """A process's memory in bytes.

    `private` is what nobody shares and the system can't drop: anonymous pages with those swapped out.

    `resident` is all that is in memory now, mapped files' pages among it, which the system drops when it needs room.
    Windows calls the first private bytes and the second the working set.
    """

    private: int
    resident: int


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """Seconds since the process was started, and bytes.

    `imported` is when Python had the runtime, `loaded` when tokenizer and session were ready, `first_token` when a
    prompt of 16 tokens had its first token; `load_seconds` is `loaded` less `imported`, and `files_seconds` the part of
    it that held the artifact's files against the manifest. `memory_first_token` includes the KV buffers of that prompt;
    the KV bytes are those of its buffers, and of the buffers of `context` tokens (0 if not asked for).
    """

    imported: float
    loaded: float
    first_token: float
    load_seconds: float
    files_seconds: float
    memory_first_token: ProcessMemory | None
    kv_bytes_first_token: int
    context: int | None
    kv_bytes_context: int


def cold_start(
    artifact: Path,
    *,
    context: int | None = None,
    threads: int | None = None,
    provider: str = AUTO,
    kernels: str = AUTO,
) -> ColdStart:
    """Measure an artifact in a fresh process.

    Raises:
        ColdStartError: the process fails; the message carries what it said.
    """
    asked = [artifact, context, threads, provider, kernels, time.monotonic()]
    command = [sys.executable, "-m", "thinkport.deploy.cold_start", json.dumps(asked, default=str)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise ColdStartError(f"a fresh process could not run {artifact}: {done.stderr.strip()}")
    raw = json.loads(done.stdout)
    memory = raw.pop("memory_first_token")
    return ColdStart(**raw, memory_first_token=memory and ProcessMemory(**memory))


def process_memory() -> ProcessMemory | None:
    """The memory of this process as its system counts it; None on a system that is not known here."""
    if _ROLLUP.is_file():
        return parse_rollup(_ROLLUP.read_text(encoding="ascii"))
    if sys.platform == "win32":
        told = psutil.Process().memory_info()
        return ProcessMemory(private=told.private, resident=told.rss)
    return None


def parse_rollup(text: str) -> ProcessMemory:
    """What Linux's `smaps_rollup` says, in lines such as `Anonymous: 12 kB`."""
    lines = [line.split() for line in text.splitlines()]
    sizes = {line[0]: int(line[1]) * _KIB for line in lines if len(line) == 3 and line[2] == "kB"}
    return ProcessMemory(private=sizes["Anonymous:"] + sizes["Swap:"], resident=sizes["Rss:"])


def _measure(
    artifact: str,
    context: int | None,
    threads: int | None,
    provider: str,
    kernels: str,
    born: float,
) -> ColdStart:
    from thinkport.runtime import Model, Sampler, SamplingSettings

    imported = time.monotonic() - born
    with Model.load(artifact, threads=threads, provider=provider, kernels=kernels) as model:
        loaded = time.monotonic() - born
        engine = model.engine()
        ids = model.tokenizer.encode(_TEXT * PROMPT_TOKENS)[:PROMPT_TOKENS]
        next(engine.generate(ids, Sampler(SamplingSettings(temperature=0)), max_tokens=1))
        first_token = time.monotonic() - born
        memory_first_token = process_memory()
        if context:
            engine.prefill(model.tokenizer.encode(_TEXT * context)[:context])
        return ColdStart(
            imported=imported,
            loaded=loaded,
            first_token=first_token,
            load_seconds=loaded - imported,
            files_seconds=model.files_check.seconds if model.files_check else 0.0,
            memory_first_token=memory_first_token,
            kv_bytes_first_token=_kv_bytes(model.session, PROMPT_TOKENS),
            context=context,
            kv_bytes_context=_kv_bytes(model.session, context) if context else 0,
        )


def _kv_bytes(session: LaneSource, tokens: int) -> int:
    """Of the buffers of one sequence of `tokens`, which grow in steps."""
    if not isinstance(session, Session):
        return 0
    model, layout = session.model, session.graph.kv
    room = capacity_for(tokens, model.context_length) if layout.in_place else tokens
    return room * kv_bytes(model, layout)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_measure(*json.loads(sys.argv[1])))) + "\n")
