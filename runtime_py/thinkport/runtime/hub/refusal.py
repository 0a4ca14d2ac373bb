"""What it means that the Hub refused: one sentence for each of huggingface_hub's errors, with what to do next."""

from thinkport.runtime.hub.repository import Repository

_LOG_IN = "log in with `hf auth login`"


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
