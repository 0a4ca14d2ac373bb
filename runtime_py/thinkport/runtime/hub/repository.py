"""The name of a repository on the Hub, `owner/name` or `owner/name@revision`, and why the Hub refused it."""

import re
from dataclasses import dataclass

HUB_ID = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?")
_LOG_IN = "log in with `hf auth login`"


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


def refusal(error: Exception, wanted: Repository, *, doing: str = "fetched") -> str:
    """Why a repository's files could not be fetched, or pushed; `doing` names which for errors without a kind."""
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            return f"{wanted.id} is gated: accept its terms on its Hub page, then {_LOG_IN}"
        case errors.RepositoryNotFoundError():
            return f"{wanted.id} doesn't exist on the Hub, or is private: check the name, or {_LOG_IN}"
        case errors.RevisionNotFoundError():
            return f"{wanted.id} has no branch, tag or commit {wanted.revision!r}: check its list of files"
        case errors.LocalEntryNotFoundError():
            return unreached(wanted)
        case errors.LocalTokenNotFoundError():
            return f"the Hub asks who you are before {wanted.id} can be {doing}: {_LOG_IN}"
        case errors.HfHubHTTPError() if error.response is not None and error.response.status_code in (401, 403):
            return f"the Hub refuses that {wanted.id} is {doing} ({error.response.status_code}): {_LOG_IN} as its owner"
        case _:  # the HTTP library's own kinds differ between versions; none says what to do
            return f"{wanted} could not be {doing}: {_first_line(error)}; try again to resume"


def unreached(wanted: Repository) -> str:
    """That neither the cache nor the Hub has the files."""
    return f"{wanted} isn't whole in the local cache and the Hub can't be reached: connect, or give a local folder"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
