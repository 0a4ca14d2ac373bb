"""Artifacts on the Hugging Face Hub: found in its local cache or fetched, checked, and pushed."""

from thinkport.runtime.hub.download_progress import Progress
from thinkport.runtime.hub.pull import Pulled, artifact_folder, is_on_hub, pull
from thinkport.runtime.hub.push import push

__all__ = ["Progress", "Pulled", "artifact_folder", "is_on_hub", "pull", "push"]
