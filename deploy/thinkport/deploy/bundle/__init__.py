"""Bundles: an artifact with everything that it needs to run on one kind of machine without a network."""

from thinkport.deploy.bundle.bundle import Bundle, BundleSettings, make_bundle
from thinkport.deploy.bundle.wheel import BundleError

__all__ = ["Bundle", "BundleError", "BundleSettings", "make_bundle"]
