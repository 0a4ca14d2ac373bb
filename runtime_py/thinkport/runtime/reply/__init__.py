"""One reply: from a request to its events."""
