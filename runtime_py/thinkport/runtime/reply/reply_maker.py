"""Makes the replies of one model: everything between a request and the first token.

Knows a model without its graph: tokenizer, template, manifest, defaults. Runs nothing; refuses what can't be run.
"""

import warnings
from collections import deque
from collections.abc import Callable, Sequence

from thinkport.runtime.artifact.manifest import Manifest
from thinkport.runtime.artifact.task_check import check_replies
from thinkport.runtime.constraints import AnswerConstraint, Grammars
from thinkport.runtime.engine.argument_checks import check_limit
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.generation import LogprobRecorder
from thinkport.runtime.engine.kv_cache import KvStart
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings, Shaper, checked_seed
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import ContextLengthError, GreedyThinkingWarning, InputError
from thinkport.runtime.events import End
from thinkport.runtime.prompt.messages import checked
from thinkport.runtime.prompt.prompt import Prompt, PromptEncoder, Tools
from thinkport.runtime.prompt.reply_memory import KnownReply, ReplyMemory
from thinkport.runtime.prompt.template import ChatTemplate, Message
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.reply.following_prompt import FollowingPrompt
from thinkport.runtime.reply.reply import AnswerGuard, Reply, ReplyRun
from thinkport.runtime.reply.reply_request import PreparedReply, ReplyRequest, Sampling
from thinkport.runtime.reply.reply_splitter import ReplySplitter
from thinkport.runtime.reply.thought_rows import ThoughtRows
from thinkport.runtime.thinking.soft_closing import Boundaries
from thinkport.runtime.thinking.thinking import DecidedBy, Switch, Thinking
from thinkport.runtime.thinking.thinking_switch import Decision, Opening, decide, opening, switched
from thinkport.runtime.thinking.thought_control import ThoughtControl
from thinkport.runtime.tools.response_format import ResponseFormat
from thinkport.runtime.tools.tool_call_splitter import START
from thinkport.runtime.tools.toolbox import ToolBox, ToolChoice

OnEnd = Callable[[End, Decision], None]


class ReplyMaker:
    """Prompts and replies of one model, from any thread."""

    def __init__(
        self, manifest: Manifest, tokenizer: Tokenizer, template: ChatTemplate, *, vocab_size: int, drafts: bool
    ):
        """`vocab_size` is the graph's; `drafts` is whether a reply guesses tokens ahead if its request doesn't say."""
        self.manifest, self.tokenizer, self.template, self.drafts = manifest, tokenizer, template, drafts
        self.thinking = Thinking()  # of a request that doesn't say
        self.max_rows = 1  # replies that share a step
        self.memory = ReplyMemory()
        self._prompts = PromptEncoder(tokenizer, template, self.memory)
        self._grammars = Grammars(tokenizer, vocab_size=vocab_size, stop_ids=manifest.stop_ids)
        self._boundaries = Boundaries(tokenizer)
        self._header = tokenizer.encode(template.reply_header)
        template.user_header  # noqa: B018 - rendered here, once, rather than within the first request
        self._warned = False

    def prompt(self, messages: Sequence[Message], tools: Tools | None, enable_thinking: bool | None) -> Prompt:
        """The prompt of messages; see `PromptEncoder.encode`.

        Raises:
            InputError: a message that templates would leave out, or one that this template refuses.
        """
        return self._prompts.encode(checked(messages), tools, enable_thinking)

    def history(self, messages: Sequence[Message], tools: Tools | None, enable_thinking: bool | None) -> list[int]:
        """The ids that every prompt after `messages` begins with; see `PromptEncoder.history`."""
        return self._prompts.history(checked(messages), tools, enable_thinking)

    def sampling(self, sampling: Sampling | None, *, thinks: bool) -> SamplingSettings:
        """The mode's preset, with the values of a mapping in place of its own; settings are taken as they are."""
        if isinstance(sampling, SamplingSettings):
            return sampling
        presets = self.manifest.sampling
        return SamplingSettings.from_preset(presets.thinking if thinks else presets.answering).override(sampling or {})

    def prepare(self, request: ReplyRequest) -> PreparedReply:
        """Check a request, decide whether it thinks, and make its prompt.

        Raises:
            InputError: a request that can't be run.
            ContextLengthError: its text alone is longer than the context, which is found before it is encoded whole.
        """
        check_replies(self.manifest, to_text=request.text is not None)
        check_limit(request.max_tokens)
        self._check_length(request)
        if request.text is not None:
            return self._prepare_text(request, request.text)
        toolbox = ToolBox(request.tools or [])
        decision = self._decide(request)
        thinking = request.call or request.chat or self.thinking
        prompt = self.prompt(request.messages, request.tools, decision.hard)
        ids = self.manifest.thinking
        thinks = ids is not None and decision.enabled is not Switch.OFF and thinking.budget != 0
        settings = self.sampling(request.sampling, thinks=thinks)
        alike = settings.temperature == 0 or settings.top_k == 1
        return PreparedReply(
            request=request,
            prompt=prompt,
            decision=decision,
            thinking=thinking,
            opening=switched(opening(prompt.ids, ids, self.tokenizer), decision.hard),
            settings=settings,
            toolbox=toolbox,
            width=self.checked_width(thinking.width) if thinks and not alike else 1,
            thinks=thinks,
        )

    def checked_width(self, width: int) -> int:
        """As many thoughts at a time.

        Raises:
            InputError: more than rows share a step.
        """
        if width > self.max_rows:
            raise InputError(
                f"width is {width}, expected at most {self.max_rows}, the replies that share a step here: think fewer "
                "thoughts at a time; a server (--max-rows) and Python (RowSettings) can be given more, but not with "
                "deterministic on standard kernels"
            )
        return width

    def begin(
        self,
        prepared: PreparedReply,
        engine: Engine,
        *,
        number: int = 0,
        stop: Stop | None = None,
        on_end: OnEnd | None = None,
        settles: bool = False,
        stops: tuple[str, ...] = (),
    ) -> Reply:
        """A reply over an engine, whose first token is run when its first event is asked for.

        `number` tells the replies to one request apart: it is added to the request's seed. `stop` ends the reply from
        outside. `on_end` gets the end just before that is yielded. `settles` runs what the next prompt begins with
        beside a long reply. `stops` end the answers that a vote compares; its reader ends the reply there.

        Raises:
            InputError: a request that can't be run.
        """
        stop, width = stop or Stop(), prepared.width
        self._warn_of_greed(prepared)

        def ended(run: ReplyRun, end: End) -> None:
            if prepared.request.text is None:
                self.memory.remember(end.answer, self._known(prepared.prompt.ids, run.ids))
            if on_end is not None:
                on_end(end, prepared.decision)

        def run_of(row: int, engine: Engine, stop: Stop, start: KvStart | None) -> ReplyRun:
            return self._run(prepared, engine, number=number * width + row, stop=stop, settles=settles, start=start)

        if prepared.thinking.width == 1 or not prepared.thinks:
            run = run_of(0, engine, stop, None)
            return Reply(run.events(stop, ended), stop, run.control)
        thoughts = ThoughtRows(prepared, engine, stop, run_of, ended, stops)
        return Reply(thoughts.events(), stop, thoughts)

    def _run(
        self,
        prepared: PreparedReply,
        engine: Engine,
        *,
        number: int,
        stop: Stop,
        settles: bool,
        start: KvStart | None,
    ) -> ReplyRun:
        request, prompt = prepared.request, prepared.prompt
        constraint = self._constraint(request, prepared.toolbox)
        forced: deque[int] = deque()
        room = engine.context_length - len(prompt.ids)
        control = self._control(prepared, stop, room, forced, separate=constraint.from_first_token)
        guard = AnswerGuard(constraint, control)
        shapers: list[Shaper] = [guard.shape] if control is None else [guard.shape, control.shape]
        recorder = None if request.logprobs is None else LogprobRecorder(request.logprobs)
        following = self._following(prepared) if settles and request.text is None else None
        watch = recorder.record if recorder else None
        seed = checked_seed(request.seed)
        seed = None if seed is None else seed + number
        tokens = engine.generate(
            prompt.ids,
            Sampler(prepared.settings, seed=seed, shapers=shapers, watch=watch),
            stop_ids=self.manifest.stop_ids,
            max_tokens=request.max_tokens,
            forced=forced,
            shareable=0 if engine.ids else prompt.shareable,
            drafts=self.drafts if request.drafts is None else request.drafts,
            stop=stop,
            following=None if following is None else following.start,
            start=start,
        )
        continued = request.text is not None
        ids = None if continued else self.manifest.thinking
        splitter = ReplySplitter(self.tokenizer, ids, prepared.opening, prepared.toolbox, continued=continued)
        return ReplyRun(tokens, len(prompt.ids), prepared.decision, splitter, control, guard, recorder, following)

    def _following(self, prepared: PreparedReply) -> FollowingPrompt:
        """The start of the prompt after a reply to messages."""
        request, hard = prepared.request, prepared.decision.hard

        def history(thought: bool) -> list[int]:
            return self._prompts.before_reply(checked(request.messages), request.tools, hard, thought=thought)

        return FollowingPrompt(history, self.tokenizer, self.tokenizer.added.get(START))

    def _check_length(self, request: ReplyRequest) -> None:
        context = self.manifest.model.context_length
        contents = [request.text] if request.text is not None else [one["content"] for one in checked(request.messages)]
        least = sum(self.tokenizer.least_tokens(one, context) for one in contents if isinstance(one, str))
        if least > context:
            raise ContextLengthError(
                f"the prompt has more than {least} tokens, the model's maximum context length is {context} with the "
                "reply: shorten the prompt or start a new chat"
            )

    def _prepare_text(self, request: ReplyRequest, text: str | Sequence[int]) -> PreparedReply:
        ids = self.tokenizer.encode(text) if isinstance(text, str) else list(text)
        return PreparedReply(
            request=request,
            prompt=Prompt(ids=ids, shareable=0),
            decision=Decision(enabled=Switch.OFF, by=DecidedBy.CALL, hard=False),
            thinking=self.thinking,
            opening=Opening.ANSWERING,
            settings=self.sampling(request.sampling, thinks=False),
            toolbox=ToolBox([]),
        )

    def _decide(self, request: ReplyRequest) -> Decision:
        """Whether the reply thinks; a template without a switch goes with a model that was taught no soft ones."""
        can = self.manifest.thinking is not None
        messages = request.messages if can and self.template.has_switch else ()
        decision = decide(messages, request.call, request.chat, self.thinking, self.manifest.enable_thinking)
        if decision.enabled is Switch.ON and not can:
            raise InputError(
                "this model can't think: its artifact names no thinking markers; switch thinking off or to auto"
            )
        if decision.enabled is Switch.ON and not self.template.knows_thoughts:
            raise InputError(
                "thinking can't be switched on: this model's chat template knows no thoughts, as that of a model which "
                "only answers; switch thinking off or to auto"
            )
        return decision

    def _control(
        self, prepared: PreparedReply, stop: Stop, room: int, forced: deque[int], *, separate: bool
    ) -> ThoughtControl | None:
        ids, most = self.manifest.thinking, prepared.request.max_tokens
        if ids is None or prepared.request.text is not None:
            return None
        return ThoughtControl(
            ids,
            prepared.opening,
            prepared.decision.enabled,
            prepared.thinking,
            limit=room if most is None else min(most, room),
            tokenizer=self.tokenizer,
            boundaries=self._boundaries,
            stop_ids=self.manifest.stop_ids,
            forced=forced,
            stop=stop,
            separate=separate,
        )

    def _constraint(self, request: ReplyRequest, toolbox: ToolBox) -> AnswerConstraint:
        form: object = request.response_format  # a caller without a type checker may give anything
        if not isinstance(form, ResponseFormat | None):
            kind = form.__name__ if isinstance(form, type) else type(form).__name__
            raise InputError(f"response_format is {kind}, expected JsonSchema(...), Regex(...) or Choice(...)")
        choice = ToolChoice.of(request.tool_choice, toolbox.names)
        return AnswerConstraint(self._grammars, response_format=form, toolbox=toolbox, choice=choice)

    def _warn_of_greed(self, prepared: PreparedReply) -> None:
        answers = prepared.opening is Opening.ANSWERING or prepared.decision.enabled is Switch.OFF
        if prepared.settings.temperature > 0 or answers or self._warned:
            return
        self._warned = True
        warnings.warn(
            "greedy sampling while thinking: Qwen3's thoughts then tend to repeat themselves without end, as its model "
            "card warns; leave the temperature to the preset, or set 0.6 with top_p 0.95 and top_k 20",
            GreedyThinkingWarning,
            stacklevel=5,
        )

    def _known(self, prompt: list[int], reply: list[int]) -> KnownReply:
        """A reply's ids, after what the generation prompt wrote of it: a thought that it opened or left out."""
        header = self._header
        starts = range(len(prompt) - len(header), -1, -1) if header else ()
        begun = next((prompt[at + len(header) :] for at in starts if prompt[at : at + len(header)] == header), [])
        return KnownReply.of(begun + reply, self.tokenizer, self.manifest.thinking, self.tokenizer.added.get(START))
