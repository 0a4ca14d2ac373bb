"""The page of the server: its files, which `deploy/web/build.py` builds, and how they are sent."""
