"""A folder with a server and an artifact that runs where no Python is: for apps in other languages."""

from thinkport.deploy.sidecar.build import Sidecar, build_sidecar

__all__ = ["Sidecar", "build_sidecar"]
