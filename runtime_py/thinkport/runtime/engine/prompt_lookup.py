"""Guesses what comes next from what came before: after the same tokens, the same ones (prompt lookup decoding).

Knows ids. Must not know models, nor whether a guess is worth its step. Source of the idea: LLMA,
https://arxiv.org/abs/2304.04487; the index is that of LZ77's match finders: positions chained by their last tokens.
"""

from collections.abc import Iterable

_TRIES = 16  # earlier places that are compared, the latest first
_LONGEST = 32  # tokens that two places are compared over


class PromptLookup:
    """Prompt and reply so far, and where in them the last tokens stood before. Constant time a token.

    `matched` counts the last tokens that are the same as before `source`, the place of the token that came next there;
    0 where there is no such place.
    """

    def __init__(self, prompt: Iterable[int]):
        """Begin with the prompt's ids."""
        self.matched = self._source = 0
        self._ids: list[int] = []
        self._latest: dict[tuple[int, int], int] = {}  # what follows the latest occurrence of a pair
        self._earlier: list[int] = []  # the same of the occurrence before, by the place after a pair; 0 for none
        for token in prompt:
            self._add(token)
        self._find()

    def append(self, token: int) -> None:
        """Take note of a token of the reply."""
        goes_on = bool(self.matched) and self._ids[self._source] == token
        self._add(token)
        if goes_on:
            self.matched += 1
            self._source += 1
        else:
            self._find()

    def guess(self, most: int) -> list[int]:
        """The next `most` tokens if all goes on as it did before, none where nothing matches.

        Where the earlier place runs into the end, the guess repeats itself.
        """
        if not self.matched:
            return []
        period = len(self._ids) - self._source
        cycle = self._ids[self._source : self._source + most]
        return [cycle[at % period] for at in range(most)]

    def _add(self, token: int) -> None:
        ids, at = self._ids, len(self._ids) + 1
        ids.append(token)
        self._earlier.append(0)
        if at > 1:
            pair = (ids[-2], token)
            self._earlier[-1] = self._latest.get(pair, 0)
            self._latest[pair] = at

    def _find(self) -> None:
        """Look for the place with the longest match, the latest of equals."""
        self.matched, place = 0, self._earlier[-1] if self._earlier else 0
        for _ in range(_TRIES):
            if not place:
                return
            length = self._common(place)
            if length > self.matched:
                self.matched, self._source = length, place
            place = self._earlier[place - 1]

    def _common(self, place: int) -> int:
        """How many tokens before `place` are the last ones."""
        ids, end = self._ids, len(self._ids)
        length = 2
        while length < min(place, _LONGEST) and ids[place - 1 - length] == ids[end - 1 - length]:
            length += 1
        return length
