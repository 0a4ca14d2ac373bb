"""Writes the reference pages of the Python API from the docstrings of the three parts' public names, with pdoc.

`python -W error deploy/docs/api.py FOLDER`: a public name or an annotation that can't be resolved is a warning.
"""

import sys
from importlib import import_module
from pathlib import Path

import pdoc

PARTS = ("thinkport.runtime", "thinkport.deploy", "thinkport.export")


def write(folder: Path) -> None:
    """Write `index.html` and a page a part."""
    for part in map(import_module, PARTS):
        for name in part.__all__:  # pdoc looks into a module's dictionary, where names that load late are missing
            setattr(part, name, getattr(part, name))
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc(*PARTS, output_directory=folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
