"""What `thinkport eval --perplexity` does: how likely a model finds a text file, on any provider and graph.

Knows files and screens; what a score is, the runtime knows.
"""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from thinkport.deploy.outputs import Outputs
from thinkport.deploy.tables import facts_table
from thinkport.runtime.errors import InputError
from thinkport.runtime.model import Model
from thinkport.runtime.text_score import TextScore

_FIGURES = [
    "perplexity",
    "bits_per_byte",
    "nats_per_token",
    "logprob",
    "positions",
    "bytes",
    "window",
    "stride",
    "windows",
]
WINDOW = 2048  # tokens: the whole context of a model would take memory and, as its square, time


@dataclass(frozen=True, kw_only=True)
class PerplexityFile:
    """A scored text file."""

    file: Path
    score: TextScore
    graph: str
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        figures = {name: getattr(self.score, name) for name in _FIGURES}
        return {"file": str(self.file), "graph": self.graph, **figures, "seconds": self.seconds}

    def show(self, console: Console) -> None:
        """Write a line a figure."""
        found = self.score
        how = f"{found.windows} of at most {found.window} tokens, a stride of {found.stride}"
        console.print(
            facts_table(
                ("file", str(self.file)),
                ("graph", self.graph),
                ("perplexity", f"{found.perplexity:.4g}"),
                ("bits a byte", f"{found.bits_per_byte:.4f}"),
                ("nats a token", f"{found.nats_per_token:.4f}"),
                ("positions", f"{found.positions:,} tokens of {found.bytes:,} bytes"),
                ("windows", how),
                ("seconds", f"{self.seconds:.1f}"),
            )
        )


def run_perplexity(
    artifact: Path, file: Path, outputs: Outputs, *, window: int | None, stride: int | None, **loading: Any
) -> None:
    """Check all, load, score and write; `loading` goes to `Model.load`.

    Raises:
        InputError: a file that is no text, or a window that can't be.
        ThinkportError: the artifact can't be run.
    """
    text = read_text(file)
    outputs.check()
    with Model.load(artifact, prefix_cache_bytes=0, **loading) as model:
        begun = perf_counter()
        with Console(stderr=True).status(f"Scoring {file.name}"):
            window = min(WINDOW, model.session.context_length) if window is None else window
            found = model.score(text, window=window, stride=stride)
        chosen = model.provider_report.chosen
        scored = PerplexityFile(
            file=file, score=found, graph=chosen.graph if chosen else "", seconds=perf_counter() - begun
        )
        facts = {"artifact": str(artifact), "model": model.manifest.name}
    facts |= {name: loading[name] for name in ("provider", "threads")}
    outputs.write({**facts, **scored.as_json()}, scored.show)


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        InputError: it can't be read, is not UTF-8, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}): give --perplexity a text file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}): convert it first") from error
    if not text.strip():
        raise InputError(f"{path} holds no text to score: give --perplexity a text file")
    return text
