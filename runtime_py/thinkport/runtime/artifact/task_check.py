"""Whether an artifact is for what it is asked to do, and what to do where it isn't."""

from types import MappingProxyType

from thinkport.runtime.artifact.manifest import Embedding, Manifest, Reranking, Task
from thinkport.runtime.errors import InputError

_MADE_FOR = MappingProxyType(
    {
        Task.CHAT: "writes replies (`thinkport generate`, POST /v1/chat/completions)",
        Task.EMBEDDING: "embeds texts (`thinkport embed`, POST /v1/embeddings)",
        Task.RERANK: "scores documents for a query (`thinkport rerank`, POST /v1/rerank)",
    }
)
_INSTEAD = MappingProxyType(
    {
        Task.CHAT: "for replies, take an artifact of a chat checkpoint such as Qwen3-0.6B",
        Task.EMBEDDING: "for embeddings, export a checkpoint such as Qwen3-Embedding-0.6B and take that artifact",
        Task.RERANK: "to rerank, export a checkpoint such as Qwen3-Reranker-0.6B with --task rerank",
    }
)


def required_embedding(manifest: Manifest) -> Embedding:
    """How the artifact embeds.

    Raises:
        InputError: it is for another task.
    """
    if manifest.embedding is None:
        raise _refused(manifest, Task.EMBEDDING)
    return manifest.embedding


def required_reranking(manifest: Manifest) -> Reranking:
    """How the artifact reranks.

    Raises:
        InputError: it is for another task.
    """
    if manifest.reranking is None:
        raise _refused(manifest, Task.RERANK)
    return manifest.reranking


def check_replies(manifest: Manifest, *, to_text: bool = False) -> None:
    """Refuse a reply of an artifact that is for another task; one that reranks can go on with a text.

    Raises:
        InputError: it embeds, or it reranks and is asked for more than `to_text`.
    """
    if manifest.task is Task.EMBEDDING or (manifest.task is Task.RERANK and not to_text):
        raise _refused(manifest, Task.CHAT)


def _refused(manifest: Manifest, asked: Task) -> InputError:
    return InputError(f"{manifest.name} {_MADE_FOR[manifest.task]}: {_INSTEAD[asked]}")
