"""Where Optimum's command line finds `optimum-cli export thinkport`: its way for other packages' commands."""

from thinkport.export.optimum_command import REGISTER_COMMANDS

__all__ = ["REGISTER_COMMANDS"]
