"""Fills the places of a text that a manifest gives, such as `{query}`, and nothing else that braces may say."""

import re


def filled(text: str, **values: str) -> str:
    """The text with each `{name}` of `values` replaced by its value; other braces stay as they are."""
    return re.sub(rf"\{{({'|'.join(values)})\}}", lambda found: values[found[1]], text)
