"""Imports what the package needs while Python's collector of garbage is paused: imports make none.

It would look through all that they made again and again, 50 of the 300 ms of processor time that they take:
`python -X importtime -c "import thinkport.runtime"`. Must be imported before anything else of the package.
"""

import gc

_collecting = gc.isenabled()
gc.disable()
try:
    import thinkport.runtime.model  # noqa: F401
finally:
    if _collecting:
        if not gc.get_freeze_count():  # to the old objects with them all, and with none that the program froze itself
            gc.freeze()
            gc.unfreeze()
        gc.enable()
