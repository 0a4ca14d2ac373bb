"""How much memory certifying takes: the checkpoint is streamed, and so is a graph too large to be loaded whole."""

from thinkport.export.certify.cpu_session import WHOLE
from thinkport.export.certify.part_sessions import HELD, LOADED
from thinkport.export.errors import CertificateError

_ROWS = 640  # of logits: prompts, and what graphs say after them where no two say the same


def certifying_bytes(weights: int, largest_part: int, vocab_size: int) -> int:
    """What a graph over so many bytes of weights takes while it is asked, `largest_part` of them in one part.

    The checkpoint's logits are held for every row meanwhile.
    """
    whole = LOADED * weights
    return int((whole if whole <= WHOLE else HELD + LOADED * largest_part) + 4 * _ROWS * vocab_size)


def check_memory(needed: int, available: int) -> None:
    """Refuse to load what would not fit, before any time is spent.

    Raises:
        CertificateError: a graph needs more than the available bytes.
    """
    if needed > available:
        raise CertificateError(
            f"running the graph to certify it takes about {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB "
            "are available: export with --no-certificate, or where there is more memory"
        )
