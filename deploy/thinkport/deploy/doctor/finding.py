"""One thing that the doctor found, in words, with what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is; the worst decides the exit code."""

    FINE = "fine"
    NOTE = "note"  # worth knowing; nothing has to be done
    WARNING = "warning"  # it runs, but slower or less surely than it could
    ERROR = "error"  # it does not run, or says the wrong thing


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A finding: a stable code for programs, a sentence for people, and what to do, None where nothing is."""

    code: str
    severity: Severity
    sentence: str
    todo: str | None = None
