"""What a user calls a provider by: a name, and for one with several devices which of them."""

from dataclasses import dataclass
from typing import Self

from thinkport.runtime.errors import InputError

_DIGITS = 3  # of a device's number


@dataclass(frozen=True, kw_only=True)
class ProviderName:
    """`name` as `candidates` takes it; `device` is the provider's own number of a device, None where none was named."""

    name: str
    device: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`dml`, or `dml:1` for the second device that DirectML lists.

        Raises:
            InputError: what follows the colon is no number.
        """
        name, colon, number = text.partition(":")
        if colon and not (number.isascii() and number.isdigit() and len(number) <= _DIGITS):
            raise InputError(f"provider {text!r} ends with {number!r}, expected the number of a device, as in {name}:1")
        return cls(name=name, device=int(number) if colon else None)
