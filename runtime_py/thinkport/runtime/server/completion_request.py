"""The body of a text completion (https://platform.openai.com/docs/api-reference/completions/create)."""

from typing import Annotated

from pydantic import Field

from thinkport.runtime.server.chat_request import IgnoredFields, StreamOptions
from thinkport.runtime.server.fields import SamplingFields

Ids = list[Annotated[int, Field(ge=0)]]


class CompletionRequest(SamplingFields, IgnoredFields):
    """A text completion: the model goes on where the prompt ends, with no template around it."""

    prompt: str | Ids | list[str] = Field(description="A text, its ids, or a list of one text.")
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1, description="16 if not given, as OpenAI has it.")
    stop: str | list[str] | None = None
    echo: bool | None = None
    logprobs: int | None = Field(None, ge=0, le=20)
    best_of: int | None = Field(None, ge=1, le=1, description="Not supported beside 1.")
    suffix: str | None = Field(None, max_length=0, description="Not supported: leave it out.")
    logit_bias: dict[str, float] | None = Field(None, max_length=0, description="Not supported: leave it empty.")
    frequency_penalty: float | None = Field(None, ge=0, le=0, description="Not supported beside 0.")
