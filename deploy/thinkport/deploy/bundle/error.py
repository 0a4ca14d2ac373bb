"""The error of a bundle that can't be made."""

from thinkport.runtime.errors import ThinkportError


class BundleError(ThinkportError):
    """A wheel that can't be had, or requirements that contradict one another."""
