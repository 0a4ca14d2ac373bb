"""Text of a model made harmless for a terminal, which would obey some of its characters: it gets their pictures.

Tabs and line ends stay. C0 controls become Unicode's control pictures, C1 controls the replacement character.
"""

_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
_PICTURES |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)


def harmless(text: str) -> str:
    """The whole of a text; a carriage return before a newline is part of the line end."""
    return text.replace("\r\n", "\n").translate(_PICTURES)


class HarmlessStream:
    """A text in pieces; a carriage return at the end of a piece is held until the next character is known."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be shown so far and was not given yet."""
        text = self._held + piece
        self._held = "\r" if text.endswith("\r") else ""
        return harmless(text.removesuffix(self._held))

    def flush(self) -> str:
        """What is held, at the end of the text."""
        held, self._held = self._held, ""
        return harmless(held)
