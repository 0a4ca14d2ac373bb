"""The name of a repository on the Hub, as people write it: `owner/name` or `owner/name@revision`."""

import re
from dataclasses import dataclass

HUB_ID = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository's id and, where one was named, a branch, tag or commit."""

    id: str
    revision: str | None

    def __str__(self) -> str:
        return f"{self.id}@{self.revision}" if self.revision else self.id


def repository_named(text: str) -> Repository | None:
    """The repository that a text names, or None where it has another form."""
    found = HUB_ID.fullmatch(text)
    return Repository(id=found["id"], revision=found["revision"]) if found else None
