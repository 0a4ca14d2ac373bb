"""From a graph and a checkpoint to the files of an artifact."""
