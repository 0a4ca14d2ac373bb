"""The body of a chat completion, as OpenAI's interface has it, with what other servers add.

https://platform.openai.com/docs/api-reference/chat/create. Knows fields and their kinds; `chat_plan.py` makes
a reply of them.
"""

from typing import Any

from pydantic import Field

from thinkport.runtime.server.fields import RequestBody, SamplingFields


class StreamOptions(RequestBody):
    """What a stream holds beside the reply."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ThinkingFields(RequestBody):
    """How a reply may think, in the words of several servers; `thinking_fields.py` says what each may be."""

    reasoning_effort: str | None = None
    reasoning: dict[str, Any] | str | bool | None = None
    think: bool | str | None = None
    enable_thinking: bool | None = None
    thinking_token_budget: int | None = None
    thinking_budget_tokens: int | None = None
    thinking_budget: int | None = None
    reasoning_budget: int | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    def thinking_fields(self) -> dict[str, Any]:
        """Those that were given."""
        return {name: getattr(self, name) for name in ThinkingFields.model_fields}


class IgnoredFields(RequestBody):
    """Fields about a provider's accounts, storage and routing, which mean nothing here; they are taken and left."""

    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    verbosity: str | None = None


class ChatRequest(SamplingFields, ThinkingFields, IgnoredFields):
    """A chat completion."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: str | list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    logit_bias: dict[str, float] | None = Field(None, max_length=0, description="Not supported: leave it empty.")
    frequency_penalty: float | None = Field(
        None, ge=0, le=0, description="Not supported beside 0: use presence_penalty or repetition_penalty."
    )
    modalities: list[str] | None = None
    timings_per_token: bool | None = Field(None, description="Each chunk of a stream says how fast it goes.")
