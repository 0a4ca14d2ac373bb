"""What is asked of one reply, and how it is begun: everything between a call and the first token.

Nothing is run here; whatever can't be run is refused here.
"""

import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thinkport.runtime.answer_guard import AnswerGuard
from thinkport.runtime.engine import Engine
from thinkport.runtime.errors import GreedyThinkingWarning, InputError
from thinkport.runtime.events import End
from thinkport.runtime.logprobs import LogprobRecorder
from thinkport.runtime.prompt import Tools
from thinkport.runtime.reply import Reply, ReplyRun
from thinkport.runtime.reply_splitter import Opening, ReplySplitter, opening, switched
from thinkport.runtime.requests import check_limit
from thinkport.runtime.response_format import ResponseFormat
from thinkport.runtime.sampling import Sampler, SamplingSettings, Shaper
from thinkport.runtime.structure import AnswerConstraint
from thinkport.runtime.template import Message
from thinkport.runtime.thinking import Switch, Thinking
from thinkport.runtime.thinking_switch import Decision, decide
from thinkport.runtime.thought_control import ThoughtControl
from thinkport.runtime.tool_choice import ToolChoice, ToolUse
from thinkport.runtime.toolbox import ToolBox

if TYPE_CHECKING:
    from thinkport.runtime.model import Model

Sampling = SamplingSettings | Mapping[str, Any]
OnEnd = Callable[[ReplyRun, End], None]


@dataclass(frozen=True, kw_only=True)
class ReplyRequest:
    """One reply to `messages`. `call` and `chat` are how the call and the chat want it to think.

    `tool_choice` is auto, none, required, or the tool that must be called; see `ToolChoice.of`. `drafts` says whether
    tokens are guessed ahead; None leaves it to the model. `logprobs` asks for the log probabilities of the answer's
    tokens and of so many of the likeliest at each place; None for none.
    """

    messages: Sequence[Message]
    tools: Tools | None = None
    tool_choice: str | Mapping[str, Any] | ToolChoice = ToolUse.AUTO
    response_format: ResponseFormat | None = None
    call: Thinking | None = None
    chat: Thinking | None = None
    max_tokens: int | None = None
    sampling: Sampling | None = None
    seed: int | None = None
    drafts: bool | None = None
    logprobs: int | None = None


def begin_reply(model: "Model", request: ReplyRequest, engine: Engine, on_end: OnEnd) -> Reply:
    """The reply, whose first token is run when its first event is asked for.

    Raises:
        InputError: a request that can't be run.
    """
    check_limit(request.max_tokens)
    decision = decide_thinking(model, request)
    thinking = request.call or request.chat or model.thinking
    prompt = model.encode(request.messages, request.tools, decision.hard)
    begin = switched(opening(prompt, model.manifest.thinking, model.tokenizer), decision.hard)
    forced: deque[int] = deque()
    settings = model.sampling(request.sampling, thinks=_thinks(model, decision, thinking))
    _warn(model, settings, begin, decision)
    toolbox = ToolBox(request.tools or [])
    constraint = _constraint(model, request, toolbox)
    room = engine.context_length - len(prompt)
    control = _control(model, request, decision, thinking, begin, room, forced, constraint.from_first_token)
    guard = AnswerGuard(constraint, control)
    recorder = None if request.logprobs is None else LogprobRecorder(request.logprobs)
    watch = recorder.record if recorder else None
    tokens = engine.generate(
        prompt,
        Sampler(settings, seed=request.seed, shapers=_shapers(control, guard), watch=watch),
        stop_ids=model.manifest.stop_ids,
        max_tokens=request.max_tokens,
        forced=forced,
        shareable=model.shareable(request, prompt) if not engine.ids else 0,
        drafts=model.drafts if request.drafts is None else request.drafts,
    )
    splitter = ReplySplitter(model.tokenizer, model.manifest.thinking, begin, toolbox)
    run = ReplyRun(engine, prompt, decision, splitter, control, guard, recorder)
    return Reply(run, run.events(tokens, on_end), engine, control)


def decide_thinking(model: "Model", request: ReplyRequest) -> Decision:
    """Whether the reply thinks; a template without a switch goes with a model that was taught no soft ones.

    Raises:
        InputError: thinking was switched on and the model has no thoughts.
    """
    can = model.manifest.thinking is not None
    messages = request.messages if can and model.template.has_switch else ()
    decision = decide(messages, request.call, request.chat, model.thinking, model.manifest.enable_thinking)
    if decision.enabled is Switch.ON and not can:
        raise InputError(
            "this model can't think: its artifact names no thinking markers; switch thinking off or to auto"
        )
    return decision


def _thinks(model: "Model", decision: Decision, thinking: Thinking) -> bool:
    return model.manifest.thinking is not None and decision.enabled is not Switch.OFF and thinking.budget != 0


def _control(
    model: "Model",
    request: ReplyRequest,
    decision: Decision,
    thinking: Thinking,
    begin: Opening,
    room: int,
    forced: deque[int],
    separate: bool,
) -> ThoughtControl | None:
    ids = model.manifest.thinking
    if ids is None:
        return None
    return ThoughtControl(
        ids,
        begin,
        decision.enabled,
        thinking,
        limit=room if request.max_tokens is None else min(request.max_tokens, room),
        tokenizer=model.tokenizer,
        boundaries=model.boundaries,
        stop_ids=model.manifest.stop_ids,
        forced=forced,
        separate=separate,
    )


def _constraint(model: "Model", request: ReplyRequest, toolbox: ToolBox) -> AnswerConstraint:
    form: object = request.response_format  # a caller without a type checker may give anything
    if not isinstance(form, ResponseFormat | None):
        kind = form.__name__ if isinstance(form, type) else type(form).__name__
        raise InputError(f"response_format is {kind}, expected JsonSchema(...), Regex(...) or Choice(...)")
    choice = ToolChoice.of(request.tool_choice, toolbox.names)
    return AnswerConstraint(model.grammars, response_format=request.response_format, toolbox=toolbox, choice=choice)


def _shapers(control: ThoughtControl | None, guard: AnswerGuard) -> list[Shaper]:
    return [guard.shape] if control is None else [guard.shape, control.shape]


def _warn(model: "Model", settings: SamplingSettings, begin: Opening, decision: Decision) -> None:
    if settings.temperature > 0 or begin is Opening.ANSWERING or decision.enabled is Switch.OFF:
        return
    if model.first_time("greedy thinking"):
        warnings.warn(
            "greedy sampling while thinking: Qwen3's thoughts then tend to repeat themselves without end, as its model "
            "card warns; leave the temperature to the preset, or set 0.6 with top_p 0.95 and top_k 20",
            GreedyThinkingWarning,
            stacklevel=5,
        )
