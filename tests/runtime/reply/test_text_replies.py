"""A text that goes on without a template: whatever comes is text, and nothing of it is kept for conversations."""

import pytest

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.events import AnswerPiece
from thinkport.runtime.reply.reply_request import ReplyRequest
from thinkport.runtime.thinking.thinking import ThinkingEnd

GREEDY = SamplingSettings(temperature=0)
HEAD = "<|im_start|>assistant\n"
SAID = "\n\nhi <think>on</think>\n<tool_call>\n</think></tool_call>\n"


@pytest.mark.parametrize("as_ids", [False, True])
def test_markers_tags_and_newlines_of_a_continued_text_are_text(new_model, as_ids) -> None:
    model = new_model(SAID)
    prompt = model.tokenizer.encode(HEAD)
    request = ReplyRequest(text=prompt if as_ids else HEAD, sampling=GREEDY, logprobs=0)
    *pieces, end = model.replies.begin(model.replies.prepare(request), model.engine())
    assert (end.thought, end.answer, end.tool_calls) == ("", SAID, ())
    assert "".join(piece.text for piece in pieces) == SAID
    assert (end.thinking_end, end.answer_end, end.forced_tokens) == (ThinkingEnd.OFF, Finish.STOP, 0)
    noted = [one.id for piece in pieces if isinstance(piece, AnswerPiece) for one in piece.logprobs]
    assert noted == model.tokenizer.encode(SAID)
    assert (end.prompt_tokens, end.answer_tokens) == (len(prompt), len(noted))
    assert not model.replies.memory.replies(SAID)
