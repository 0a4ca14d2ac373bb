"""What `thinkport embed` and `thinkport rerank` do: texts of files or standard input, and lines of JSON."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.artifact.task_check import required_embedding, required_reranking
from thinkport.runtime.errors import InputError
from thinkport.runtime.model import Model
from thinkport.runtime.terminal.warning_lines import tidy_warnings
from thinkport.runtime.text_embedding import checked_dimensions, embedding_prompts, rounded, vectors_of

_STDIN = "-"


@dataclass(frozen=True, kw_only=True)
class SourceText:
    """A text and where it stands; `line` counts from 1, None of a whole file."""

    text: str
    file: str
    line: int | None

    def place(self) -> dict[str, Any]:
        """File and line, for a program."""
        return {"file": self.file} | ({} if self.line is None else {"line": self.line})


def run_embed(
    artifact: Path,
    files: Sequence[Path],
    *,
    running: dict[str, Any],
    query: bool,
    instruction: str | None,
    dimensions: int | None,
    whole: bool,
    truncate: bool,
) -> None:
    """Check all texts, then embed and write one after the other.

    Raises:
        InputError: nothing to read, or the artifact or an option can't be used for it.
    """
    embedding = required_embedding(read_manifest(artifact))
    width = checked_dimensions(dimensions, embedding)
    if query and embedding.instruction is None:
        raise InputError("the checkpoint named no instruction of its own: give one with --instruction")
    asked = embedding.instruction if query else instruction
    texts = [*_texts(files, whole=whole)]
    with tidy_warnings(), Model.load(artifact, **running) as model, closing(model.engine()) as engine:
        context = model.session.context_length - 1
        said = [one.text for one in texts]
        prompts = embedding_prompts(model.tokenizer, embedding, said, asked, context=context, truncate=truncate)
        for number, (text, prompt) in enumerate(zip(texts, prompts, strict=True)):
            (vector,) = rounded(vectors_of(engine, [prompt], width))
            _write({"index": number, **text.place(), "tokens": len(prompt.ids), "embedding": vector})


def run_rerank(
    artifact: Path,
    query: str,
    files: Sequence[Path],
    *,
    running: dict[str, Any],
    instruction: str | None,
    top: int | None,
    whole: bool,
    truncate: bool,
) -> None:
    """Score all documents and write them, the best first; equal ones in their order.

    Raises:
        InputError: nothing to read, or the artifact or an option can't be used for it.
    """
    required_reranking(read_manifest(artifact))
    texts = [*_texts(files, whole=whole)]
    with tidy_warnings(), Model.load(artifact, **running) as model:
        scores = model.rerank(query, [one.text for one in texts], instruction=instruction, truncate=truncate)
    order = sorted(range(len(scores)), key=lambda at: -scores[at])
    for at in order[:top]:
        _write({"index": at, **texts[at].place(), "score": scores[at], "document": texts[at].text})


def _texts(files: Sequence[Path], *, whole: bool) -> Iterator[SourceText]:
    for name in [str(file) for file in files] or [_STDIN]:
        read = _read(name)
        if whole:
            yield SourceText(text=read, file=name, line=None)
            continue
        for number, line in enumerate(read.splitlines(), 1):
            if line.strip():
                yield SourceText(text=line, file=name, line=number)


def _read(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == _STDIN else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{name} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is no UTF-8 ({error.reason} at byte {error.start}): convert it first") from error


def _write(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
