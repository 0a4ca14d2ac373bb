"""A static site of an artifact: the page, the engine and the model in pieces, for any web host."""

from thinkport.deploy.website.site import Site, SiteSettings, make_site

__all__ = ["Site", "SiteSettings", "make_site"]
