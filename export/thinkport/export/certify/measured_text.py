"""What a graph is measured on: the ids of a text, the positions that are compared, and what kind of text it is."""

from dataclasses import dataclass

import numpy as np

from thinkport.export.certify.figures import TextLabel
from thinkport.export.reference.logits import Ids

OWN = "own replies"
CHUNK = 64  # tokens a step of a text that is no golden


@dataclass(frozen=True, kw_only=True)
class MeasuredText:
    """A text's ids (tokens,) and the positions (rows,) at which it is compared.

    `kind` is None of ids that are no text. `is_text`: its tokens follow from one another, so perplexity counts.
    """

    name: str
    ids: Ids
    rows: Ids
    kind: str | None = None
    language: str | None = None
    is_text: bool = False

    @property
    def title(self) -> str:
        """The name without its number."""
        return self.name.partition("-")[2]

    @property
    def label(self) -> TextLabel | None:
        """What its rows count for; None of ids that are no text."""
        return None if self.kind is None else TextLabel(self.name, self.kind, self.language)

    def following(self, row: int) -> int | None:
        """The token after the row of that number; None where none is known, or it is not to be foretold."""
        position = int(self.rows[row]) + 1
        return int(self.ids[position]) if self.is_text and position < len(self.ids) else None


def whole_text(name: str, ids: Ids, *, kind: str, language: str | None) -> MeasuredText:
    """A text that is compared at each position which has a next token."""
    rows = np.arange(max(1, len(ids) - 1))
    return MeasuredText(name=name, ids=ids, rows=rows, kind=kind, language=language, is_text=True)


def reply_text(name: str, ids: Ids, prompt: int) -> MeasuredText:
    """A reply with its prompt of so many tokens, compared where the reply's tokens were drawn."""
    rows = np.arange(prompt - 1, len(ids) - 1)
    return MeasuredText(name=name, ids=ids, rows=rows, kind=OWN, is_text=True)
