"""Where the results of a verb go: one JSON object or tables on stdout, and files. Measures nothing."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from thinkport.runtime.errors import InputError
from thinkport.runtime.extras import require


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """JSON or tables on stdout; `out` is a file for the JSON, `plot` one for a picture."""

    as_json: bool
    out: Path | None = None
    plot: Path | None = None

    def check(self) -> None:
        """Make the folders, and refuse now, before hours of work, what can't be written.

        Raises:
            InputError: a folder or another kind of picture where a file is expected.
            MissingExtraError: a plot without matplotlib.
        """
        if self.plot:
            require("eval", "matplotlib")
            if self.plot.suffix.lower() != ".png":
                raise InputError(f"the plot is {self.plot.name!r}, expected a name that ends in .png")
        for path in (self.out, self.plot):
            if path and path.is_dir():
                raise InputError(f"{path} is a folder, expected a file: add a name")
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, facts: Mapping[str, Any], show: Callable[[Console], None]) -> None:
        """Write `facts` as JSON, and unless that goes to stdout, what `show` prints."""
        text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
        if self.out:
            self.out.write_text(text, encoding="utf-8")
        if self.as_json:
            sys.stdout.write(text)
        else:
            show(Console(highlight=False, markup=False, emoji=False))
