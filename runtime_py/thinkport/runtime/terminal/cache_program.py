"""What `thinkport cache` does: lists what this machine keeps of artifacts, or takes it away."""

import sys
from datetime import datetime
from pathlib import Path

from thinkport.runtime.errors import InputError
from thinkport.runtime.machine.machine_cache import MachineCache, user_cache_folder
from thinkport.runtime.providers.ort import AUTO

_MB = 1e6


def run_cache(cache_dir: str | None, *, clear: bool) -> None:
    """Print an entry a line, the longest unused first, and the sum; with `clear` what was freed.

    Raises:
        InputError: the cache is off, so there is nothing to show.
    """
    if cache_dir is None:
        raise InputError("the cache is off, expected its folder: name it with --cache-dir")
    cache = MachineCache(user_cache_folder() if cache_dir == AUTO else Path(cache_dir))
    if clear:
        sys.stdout.write(f"freed {cache.clear() / _MB:.0f} MB\n")
    entries = cache.entries()
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).isoformat(" ", "minutes")
        state = "  in use" if entry.in_use else ""
        what = f"{entry.key.content}  {entry.key.graph} of {entry.key.artifact[:12]}"
        sys.stdout.write(f"{entry.bytes / _MB:6.0f} MB  used {used}  {what}{state}\n")
    total = sum(entry.bytes for entry in entries)
    sys.stdout.write(f"{total / _MB:6.0f} MB of {cache.limit / _MB:.0f} in {cache.folder}\n")
