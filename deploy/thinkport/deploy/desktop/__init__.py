"""A window over the chat page and a server of its own. Needs the extra `[desktop]`; `run` is its one entrance."""

from thinkport.deploy.desktop.run import run

__all__ = ["run"]
