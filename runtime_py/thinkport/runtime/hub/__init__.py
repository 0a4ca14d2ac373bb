"""Artifacts on the Hugging Face Hub: found in its local cache or fetched, checked, and pushed."""

from thinkport.runtime.hub.artifacts import Pulled, artifact_folder, is_on_hub, pull, push
from thinkport.runtime.hub.download_progress import Progress

__all__ = ["Progress", "Pulled", "artifact_folder", "is_on_hub", "pull", "push"]
