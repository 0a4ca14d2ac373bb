"""Tools and answer formats as callers give them, and calls as models write them."""
