"""Ids in, ids out: the token loop, the KV cache and its memory, sampling and drafts."""
