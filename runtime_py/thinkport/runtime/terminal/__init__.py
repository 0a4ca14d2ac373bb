"""The verbs `chat` and `generate` as programs: what is typed, what is shown, and what Ctrl-C does."""
