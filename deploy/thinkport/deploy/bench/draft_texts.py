"""Prompts and replies over which drafts are timed: a copy, an edit of code, and a text without repetition."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DraftText:
    """A given reply, and the prompt that it answers."""

    name: str
    prompt: str
    reply: str


_MINUTES = """Minutes of the harbour council, 14 March

Present: the harbour master, two members of the pilots' guild, the head of the fish market and a clerk.

The harbour master reported that the eastern quay has sunk by four centimetres since the autumn. Divers
found the wooden piles sound down to the mud line; below it nobody has looked for thirty years. A survey
with a sediment probe would cost about nine thousand and take two days at low water. The guild asked
that it be done before the herring season.

The fish market has lost eleven crates to gulls in one week and wants nets over the auction yard. The
clerk noted that nets were refused in 1998, since lorries taller than four metres could not turn below
them. It was agreed to try them over the northern half only, where nothing but hand carts pass.

Pilots will answer on channel 12 from April on, since channel 9 is shared with the marina and was
blocked by a regatta on two Sundays. The old channel is watched until June. New stickers for the
wheelhouses are ordered.

Next meeting: 11 April at eight o'clock, in the sail loft, since the council room is being painted."""

_CODE = '''class Cache:
    """Keeps what was computed, the longest unused goes first."""

    def __init__(self, size):
        self.size = size
        self.items = {}
        self.hits = 0
        self.misses = 0

    def get(self, key):
        if key in self.items:
            value = self.items.pop(key)
            self.items[key] = value
            self.hits += 1
            return value
        self.misses += 1
        return None

    def put(self, key, value):
        if key in self.items:
            self.items.pop(key)
        while len(self.items) >= self.size:
            oldest = next(iter(self.items))
            del self.items[oldest]
        self.items[key] = value

    def drop(self, key):
        if key in self.items:
            del self.items[key]
            return True
        return False

    def clear(self):
        self.items = {}
        self.hits = 0
        self.misses = 0

    def report(self):
        asked = self.hits + self.misses
        share = self.hits / asked if asked else 0.0
        return f"{len(self.items)} of {self.size} kept, {share:.0%} of {asked} found"'''

_EDITS = (
    ("class Cache:", "class LruCache:"),
    ("def __init__(self, size):", "def __init__(self, size: int) -> None:"),
    ("self.items = {}", "self.items: dict[str, object] = {}"),
    ("def get(self, key):", "def get(self, key: str) -> object | None:"),
    ("def put(self, key, value):", "def put(self, key: str, value: object) -> None:"),
    ("while len(self.items) >= self.size:", "while len(self.items) >= self.size > 0:"),
    ("def report(self):", "def report(self) -> str:"),
)

_ESSAY = """Tides are older than any sea chart, yet people were long content to call them the breath of the ocean.
The first to count them carefully were those whose boats lay dry twice a day. A fisherman needs no
theory: he sees that high water comes some fifty minutes later each evening, that it climbs furthest
soon after a full or an empty moon, and that wind off the land can steal half a metre from what the
almanac promised.

Theory had to wait for gravity. Newton explained why there are two bulges rather than one: the moon
pulls harder on the near shore than on the centre of the globe, and harder on the centre than on the far
side, so water is left behind there. His picture was of a planet covered evenly by a deep sea, which no
sailor has met. Real basins slosh. Their width and depth decide which rhythms they answer, much as a
bathtub answers one speed of hand and ignores others. That is why Southampton gets a double high tide,
why parts of Vietnam see a single one daily, and why the Bay of Fundy, whose length happens to suit
twelve and a half hours, lifts trawlers by sixteen metres.

Laplace wrote the equations down, Kelvin built a brass machine of wheels and pulleys that added the
waves together, and harbour clerks turned its crank for a year's worth of predictions in an afternoon.
During the landings in Normandy one such device, kept in a cellar near Liverpool, was run day and night.
Today a telephone does it before the kettle boils. What has not changed is friction: every ebb drags on
the seabed, days grow longer by two milliseconds a century, and the moon, paid in momentum, drifts away
at the speed of a growing fingernail."""


def _edited() -> str:
    code = _CODE
    for before, after in _EDITS:
        assert before in code
        code = code.replace(before, after, 1)
    return code


TEXTS = (
    DraftText(name="copying", prompt=f"{_MINUTES}\n\nRepeat these minutes word for word.", reply=_MINUTES),
    DraftText(
        name="editing code",
        prompt=f"```python\n{_CODE}\n```\n\nRename the class to LruCache and add types where a reader needs them.",
        reply=f"```python\n{_edited()}\n```",
    ),
    DraftText(name="free text", prompt="Write about how people came to understand the tides.", reply=_ESSAY),
)
