"""The body of a response (https://platform.openai.com/docs/api-reference/responses/create).

Nothing is stored, so there is no earlier response to go on from: clients send the items again.
"""

from typing import Any

from pydantic import Field

from thinkport.runtime.server.chat_request import IgnoredFields, StreamOptions, ThinkingFields
from thinkport.runtime.server.fields import SamplingFields


class ResponsesRequest(SamplingFields, ThinkingFields, IgnoredFields):
    """A response."""

    input: str | list[dict[str, Any]]
    model: str | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: dict[str, Any] | None = None
    include: list[str] | None = None
    truncation: str | None = Field(None, pattern="^disabled$", description="Only disabled: nothing is left out.")
    background: bool | None = None
    previous_response_id: str | None = Field(
        None, max_length=0, description="Not supported, as nothing is stored: send the items again."
    )
