"""What graphs say after prompts: greedy continuations, and replies that the first one draws by the family's presets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from thinkport.deploy.verification.drawing import drawing
from thinkport.export.certify import greedy
from thinkport.export.certify.cpu_session import cpu_session
from thinkport.export.certify.greedy import DrawnReply
from thinkport.export.certify.judging import check_finite
from thinkport.export.certify.measured_text import MeasuredText, reply_text
from thinkport.export.certify.parted_session import HELD
from thinkport.export.certify.prompts import Questions
from thinkport.export.certify.texts import asked_questions
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.checkpoint.tokenizer_files import stop_tokens, thinking_ids
from thinkport.export.families import DecoderShape, family_of
from thinkport.export.reference.logits import Ids, Logits
from thinkport.runtime.artifact.manifest import Graph, ModelShape

OWN_TOKENS = 40  # of a reply that the model draws itself


@dataclass(frozen=True, kw_only=True)
class Said:
    """Prompts with their greedy continuations, and prompts with replies that were drawn."""

    greedy: Sequence[Ids]
    own: Sequence[MeasuredText]


def said(
    folder: Path,
    graph: Graph,
    model: ModelShape,
    questions: Questions,
    *,
    guesses: Sequence[Ids] = (),
    drawn: Sequence[DrawnReply] = (),
) -> Said:
    """What one graph says; `guesses` are greedy continuations of another graph.

    Where every token loads the layers again, no more are drawn than are continued greedily.
    """
    prompts = [prompt.ids for prompt in questions.continued]
    with cpu_session(folder, graph, model, held=HELD) as (session, run, changed):
        drawn = [replace(reply, draw=_finite(graph, reply.draw)) for reply in drawn]
        drawn = [replace(reply, tokens=greedy.TOKENS) for reply in drawn] if changed else drawn
        texts = greedy.continued(session, prompts, guesses if changed else (), run=run, drawn=drawn)
    own = [
        reply_text(f"reply-{at}", ids, len(reply.prompt))
        for at, (reply, ids) in enumerate(zip(drawn, texts[len(prompts) :], strict=True))
    ]
    return Said(greedy=texts[: len(prompts)], own=own)


def _finite(graph: Graph, draw: Callable[[Logits], int]) -> Callable[[Logits], int]:
    """`draw` of logits that are numbers; the others are refused."""

    def checked(logits: Logits) -> int:
        check_finite(graph, "of a reply of its own", logits)
        return draw(logits)

    return checked


def own_replies(checkpoint: Checkpoint, shape: DecoderShape) -> list[DrawnReply]:
    """The replies to draw: the same questions and seeds each time.

    Raises:
        ThinkportError: the tokenizer or the chat template can't be used.
    """
    family = family_of(checkpoint.config)
    presets = family.presets(checkpoint.generation_config)
    can_think = thinking_ids(checkpoint, family.thinking_tokens) is not None
    stops = frozenset(stop.id for stop in stop_tokens(checkpoint))
    return [
        DrawnReply(
            prompt=one.ids,
            tokens=OWN_TOKENS,
            draw=drawing(presets.thinking if one.thinking else presets.answering, one.ids.tolist(), seed),
            stop_ids=stops,
        )
        for seed, one in enumerate(asked_questions(checkpoint, shape, can_think=can_think))
    ]
