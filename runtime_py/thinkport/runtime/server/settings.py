"""A server's settings: its address, who may use it, and its limits.

Knows limits and names; must not know routes or models.
"""

import ipaddress
import math
from dataclasses import dataclass

from thinkport.runtime.errors import InputError

_WHOLE = ("port", "max_rows", "queue", "max_body", "max_messages", "max_choices", "max_tokens")
_SECONDS = ("header_seconds", "body_seconds", "write_seconds", "grace_seconds", "idle_seconds")
_UNSET = ("max_rows", "max_tokens", "idle_seconds")  # may be None
_LOCAL_NAMES = ("localhost", "localhost.localdomain")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """A server's settings.

    host, port: where it listens; port 0 takes a free one. api_key: what clients have to send; needed unless `host` is
    this machine's own loopback. allow_hosts: further names that a request may call this server by. allow_origins: pages
    elsewhere that browsers may let in, `null` for pages of an app's own files, `*` for all, which takes a key.
    max_rows: replies that are written at the same time, in shared steps, None for as many as the model was loaded
    for; more than that are refused where the app is made. queue: requests that wait beyond them; more
    are told to come back. max_body: bytes of a request. max_messages, max_choices: of one request. max_tokens: of one
    reply, None for what the context has room for. header_seconds, body_seconds, write_seconds: how long a client may
    take to send its request's head, to send the next bytes of its body, and to take what is written to it.
    grace_seconds: how long replies go on after the server was told to end. idle_seconds: after how long without a
    request the model is unloaded, to be loaded again at the next one; None keeps it. log_requests: one line a request
    on stderr, without prompts, paths of files or keys.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    api_key: str | None = None
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    max_rows: int | None = None
    queue: int = 32
    max_body: int = 4 << 20
    max_messages: int = 1024
    max_choices: int = 8
    max_tokens: int | None = None
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    write_seconds: float = 60.0
    grace_seconds: float = 10.0
    idle_seconds: float | None = None
    log_requests: bool = False

    def __post_init__(self) -> None:
        self._check_key()
        self._check_types()
        if not 0 <= self.port <= 65535:
            raise InputError(f"the port is {self.port}, expected 0 (a free one) to 65535")
        for name in ("max_rows", "max_body", "max_messages", "max_choices"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected 1 or more")
        for name in ("header_seconds", "body_seconds", "write_seconds", "grace_seconds"):
            value, least = getattr(self, name), "0 or more" if name == "grace_seconds" else "more than 0"
            if not (value > 0 or (value == 0 and name == "grace_seconds")) or not math.isfinite(value):
                raise InputError(f"{name} is {value}, expected {least} seconds")
        if self.idle_seconds is not None and not 0 < self.idle_seconds < math.inf:
            raise InputError(f"idle_seconds is {self.idle_seconds}, expected more than 0 seconds, or None")
        if self.queue < 0:
            raise InputError(f"queue is {self.queue}, expected 0 (nobody waits) or more")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InputError(f"max_tokens is {self.max_tokens}, expected 1 or more, or nothing for the context")

    def _check_types(self) -> None:
        """Numbers are numbers: a text would be compared with one, and `True` counts as 1."""
        for names, kinds, expected in (
            (_WHOLE, int, "a whole number"),
            (_SECONDS, (int, float), "a number of seconds"),
        ):
            for name in names:
                value = getattr(self, name)
                unset = value is None and name in _UNSET
                if not unset and (isinstance(value, bool) or not isinstance(value, kinds)):
                    raise InputError(f"{name} is {value!r}, expected {expected}")

    def rows_of(self, loaded: int) -> int:
        """How many replies are written at the same time by a model that was loaded for `loaded`.

        Raises:
            InputError: `max_rows` is more.
        """
        if self.max_rows is not None and self.max_rows > loaded:
            raise InputError(
                f"the server's max_rows is {self.max_rows} and the model was loaded for {loaded} replies at the same "
                f"time: leave max_rows out, or load the model with rows=RowSettings(max_rows={self.max_rows})"
            )
        return self.max_rows or loaded

    def width_of(self, shared: int) -> int:
        """How many thoughts a reply may have at a time, of a model whose steps `shared` replies share."""
        return min(shared, self.max_rows or shared)

    def _check_key(self) -> None:
        if self.api_key is not None and len(self.api_key) < 8:
            raise InputError("the API key has fewer than 8 characters: take a longer one, such as a random 32")
        if self.api_key is None and not is_loopback(self.host):
            raise InputError(
                f"{self.host} can be reached from other machines and no API key is set: give --api-key (or set "
                "THINKPORT_API_KEY), or listen on 127.0.0.1"
            )
        if self.api_key is None and self.any_origin:
            raise InputError(
                "allow_origins has '*', which lets in every page that this machine's browsers open, and no API key is "
                "set: give --api-key (or set THINKPORT_API_KEY), or name the origins"
            )

    @property
    def any_origin(self) -> bool:
        """Whether pages of every origin are let in; cookies never are, so a page needs the key."""
        return "*" in self.allow_origins


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address or name."""
    if host in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
