"""An HTTP server of one model, which clients of OpenAI's interfaces speak to."""

from thinkport.runtime.server.app import create_app
from thinkport.runtime.server.settings import ServerSettings

__all__ = ["ServerSettings", "create_app"]
