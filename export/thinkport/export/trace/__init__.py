"""From a checkpoint's config to an unfused graph, without reading a weight."""
