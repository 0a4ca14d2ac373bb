"""The line below the prompt: the thinking switch, the budget, the provider, and the fill of the context."""

from thinkport.runtime.terminal.conversation import Conversation
from thinkport.runtime.terminal.parted_lines import fitting


def toolbar(conversation: Conversation, width: int) -> str:
    """As much of it as fits in a line."""
    thinking = conversation.thinking
    parts = [f"thinking {thinking.enabled or 'as the model has it'}"]
    if thinking.budget is not None:
        parts.append(f"budget {thinking.budget}")
    return fitting([*parts, conversation.provider, conversation.context], width)
