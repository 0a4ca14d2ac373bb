"""Graph passes: one rewrite a file."""
