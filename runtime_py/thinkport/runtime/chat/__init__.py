"""Conversations: their messages, turns and files."""
