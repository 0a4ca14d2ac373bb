"""Interfaces of other servers than OpenAI's, over the same replies."""
