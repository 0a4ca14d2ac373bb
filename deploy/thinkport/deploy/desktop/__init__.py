"""A window to talk to an artifact in. Needs the extra `[desktop]`; `run` is its one entrance."""

from thinkport.deploy.desktop.run import run

__all__ = ["run"]
