"""A thought's ids as text, without the newlines that templates put around it.

Knows text only; must not know markers.
"""

from thinkport.runtime.detokenize import Detokenizer
from thinkport.runtime.events import ToolCall
from thinkport.runtime.tokenizer import Tokenizer


class ThoughtText:
    """Newlines at its start are left out, later ones held until more text follows."""

    def __init__(self, tokenizer: Tokenizer):
        self._detokenizer = Detokenizer(tokenizer)
        self._bare = True  # nothing was shown yet
        self._held = ""

    def feed(self, id: int) -> list[str | ToolCall]:  # noqa: A002 - the domain's word
        """The text that is whole with this id, if there is any."""
        return self._show(self._detokenizer.feed(id))

    def flush(self) -> list[str | ToolCall]:
        """What is still held, but for newlines."""
        return self._show(self._detokenizer.flush())

    def _show(self, text: str) -> list[str | ToolCall]:
        whole = self._held + text
        if self._bare:
            whole = whole.lstrip("\n")
        shown = whole.rstrip("\n")
        self._held = whole[len(shown) :]
        self._bare = self._bare and not shown
        return [shown] if shown else []
