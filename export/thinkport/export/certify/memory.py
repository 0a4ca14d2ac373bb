"""How much memory certifying takes: the checkpoint is streamed, the graph is not."""

from thinkport.export.errors import CertificateError

LOADED = 1.5  # resident bytes of a loaded graph a byte of weights: 1.4 measured in float32, where products are repacked


def check_memory(weights: int, available: int) -> None:
    """Refuse to load what would not fit, before any time is spent: the checkpoint is streamed, the graph is not.

    Raises:
        CertificateError: a graph over so many bytes of weights needs more than the available ones.
    """
    needed = LOADED * weights
    if needed > available:
        raise CertificateError(
            f"running the graph to certify it takes about {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB "
            "are available: export with --no-certificate, or where there is more memory"
        )
