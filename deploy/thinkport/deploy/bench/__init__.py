"""Measures an artifact beside other engines: speed by length, loading, memory and what the engine adds."""
