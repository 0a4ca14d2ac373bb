"""Where an artifact goes: targets and what they can do, and looking into an artifact."""

from thinkport.deploy.contents import Contents, KvMemory, look_inside
from thinkport.deploy.targets import TARGETS, Target, target
from thinkport.runtime.extras import install_line, require

__all__ = ["TARGETS", "Contents", "KvMemory", "Target", "install_line", "look_inside", "require", "target"]
