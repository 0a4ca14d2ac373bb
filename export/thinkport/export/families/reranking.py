"""What Qwen3's rerankers are asked, as https://huggingface.co/Qwen/Qwen3-Reranker-0.6B has it.

Knows texts and a tokenizer; must not know how a score is computed.
"""

from thinkport.export.errors import CheckpointError
from thinkport.runtime.artifact.manifest import Reranking
from thinkport.runtime.prompt.tokenizer import Tokenizer

_JUDGE = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".'
)


def qwen3_reranking(tokenizer: Tokenizer) -> Reranking:
    """The prompt's parts, and the ids of the two answers.

    Raises:
        CheckpointError: an answer is not one token.
    """
    return Reranking(
        prefix=f"<|im_start|>system\n{_JUDGE}<|im_end|>\n<|im_start|>user\n",
        body="<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}",
        suffix="<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        instruction="Given a web search query, retrieve relevant passages that answer the query",
        yes_id=_id_of("yes", tokenizer),
        no_id=_id_of("no", tokenizer),
    )


def _id_of(answer: str, tokenizer: Tokenizer) -> int:
    ids = tokenizer.encode_plain(answer)
    if len(ids) != 1:
        raise CheckpointError(
            f"the tokenizer makes {len(ids)} tokens of {answer!r}, expected one: this is no reranker's tokenizer; "
            "export with --task chat"
        )
    return ids[0]
