"""Whether a reply thinks, how long, and how a thought is closed."""
