"""Replies to many prompts: rows of a file or a table in, a line a reply out."""
