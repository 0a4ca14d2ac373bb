"""Makes a site: the order of the steps, top to bottom. What each step does stands elsewhere."""

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from thinkport.deploy.bundle.archive import SUMS, sha256_of
from thinkport.deploy.bundle.entries import sealed_text, with_graphs
from thinkport.deploy.website.browser_graphs import BrowserGraph, LeftOut, browser_graphs
from thinkport.deploy.website.icons import SIZES, TOUCH_ICON, icons
from thinkport.deploy.website.onnxruntime_files import BINARIES, SCRIPTS, VERSION
from thinkport.deploy.website.onnxruntime_web import find_onnxruntime_web
from thinkport.deploy.website.own_folder import check_replaceable
from thinkport.deploy.website.pieces import MOST_PIECE_BYTES, PiecedFile, cut
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, Manifest, Task, check_files, read_manifest
from thinkport.runtime.artifact.manifest_seal import check_seal
from thinkport.runtime.errors import InputError
from thinkport.runtime.extras import require
from thinkport.runtime.machine.exchange import put_in_place

INDEX = "site.json"
FORMAT = 1
PIECES = "pieces"
_SHELL = "sw.js"
_LEGAL = ("LICENSE", "NOTICE")
_LICENSES = "licenses"
_UNITS = 1_000_000
Told = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class SiteSettings:
    """What a site is like.

    `onnxruntime_web` is the folder of the npm package, None for the installed package of Python. `context` is the most
    tokens of a conversation, which bounds the memory of a tab. `piece_bytes` is how long pieces are. `page` is the
    folder of the built page, None for the one that came with thinkport.
    """

    onnxruntime_web: Path | None = None
    context: int = 4096
    piece_bytes: int = 8 << 20
    page: Path | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that no browser or host takes."""
        if self.context < 256:
            raise InputError(f"the context is {self.context} tokens, expected 256 or more")
        if not 0 < self.piece_bytes <= MOST_PIECE_BYTES:
            raise InputError(f"pieces have {self.piece_bytes} bytes, expected 1 to {MOST_PIECE_BYTES}")


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site that was written: bytes of all its files, and by the graph, bytes that a first visit downloads.

    `left_out` says by the graph why one that could run in browsers is not in it, and what keeps it.
    """

    path: Path
    bytes: int
    files: int
    largest: int
    downloads: dict[str, int]
    left_out: dict[str, str]


def make_site(
    artifact: Path, output: Path, settings: SiteSettings, *, force: bool = False, told: Told = lambda stage: None
) -> Site:
    """Write a folder that a web host serves as it is. It appears once it is whole.

    `told` hears what is done next. The same artifact, page and settings make the same files.

    Raises:
        InputError: an output that is there already without `force`, or that isn't a site; an artifact for another task
            or without graphs for browsers; settings that can't be.
        ArtifactError: the artifact isn't whole.
        MissingExtraError: the server's packages, which the page comes with, or onnxruntime-web are missing.
    """
    check_replaceable(output, force=force)
    manifest = read_manifest(artifact)
    if manifest.task is not Task.CHAT:
        raise InputError(f"{manifest.name} is an artifact for {manifest.task.value}: a site is made of one that chats")
    page = settings.page or _installed_page()
    runtime = find_onnxruntime_web(settings.onnxruntime_web)
    told("Checking the artifact")
    check_seal(artifact)
    check_files(artifact, manifest, verify=True)
    graphs, left_out = browser_graphs(artifact, manifest, settings.context)
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=output.parent, prefix=".thinkport-site-") as work:
        folder = Path(work) / "site"
        (folder / PIECES).mkdir(parents=True)
        told("Cutting the model into pieces")
        index = _index(folder, artifact, manifest, graphs, left_out, runtime, settings)
        told("Writing the page")
        _put_page(folder, page, runtime, index)
        for name in manifest.files:
            if name.startswith(_LEGAL):
                shutil.copyfile(artifact / name, folder / f"model-{name}")
        (folder / SUMS).write_bytes(_sums(folder))
        folder.chmod(0o755)  # temporary folders are their maker's alone
        check_replaceable(output, force=force)  # another run may have come first, and somebody's file
        put_in_place(folder, output, aside=Path(work) / "old")
    sizes = [path.stat().st_size for path in output.rglob("*") if path.is_file()]
    return Site(
        path=output,
        bytes=sum(sizes),
        files=len(sizes),
        largest=max(sizes),
        downloads={way["graph"]: sum(index["files"][name]["bytes"] for name in way["files"]) for way in index["ways"]},
        left_out={one.graph: one.told for one in left_out},
    )


def _installed_page() -> Path:
    require("server", "starlette", "uvicorn", "prometheus_client")
    from thinkport.runtime.server.interface.page import FOLDER, how_to_build

    if not (FOLDER / "site.html").is_file():
        raise InputError(how_to_build())
    return FOLDER


def _index(
    folder: Path,
    artifact: Path,
    manifest: Manifest,
    graphs: list[BrowserGraph],
    left_out: list[LeftOut],
    runtime: Path,
    settings: SiteSettings,
) -> dict[str, Any]:
    """Cut what browsers download, and say of what it consists."""
    slim = _slim(manifest, graphs)
    contents: dict[str, Path | bytes] = {name: artifact / name for name in slim.files}
    contents[MANIFEST_NAME] = sealed_text(slim)
    for one in graphs:
        if one.binary not in contents:
            contents[one.binary] = gzip.compress((runtime / BINARIES[one.provider]).read_bytes(), 9, mtime=0)
    files = {
        name: cut(content, folder / PIECES, settings.piece_bytes)
        for name, content in sorted(contents.items())
        if content
    }
    ways = [_way(slim, graph) for graph in graphs]
    made: dict[str, Any] = {
        "format": FORMAT,
        "name": manifest.name,
        "runtime": VERSION,
        "scripts": list(SCRIPTS),
        "pieceBytes": settings.piece_bytes,
        "files": {name: asdict(file) for name, file in files.items()},
        "ways": ways,
        "leftOut": [{"provider": one.provider, "graph": one.graph, "reason": one.reason} for one in left_out],
    }
    made["version"] = _version(files, ways)
    (folder / INDEX).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return made


def _slim(manifest: Manifest, graphs: list[BrowserGraph]) -> Manifest:
    """The manifest with what a browser reads."""
    chosen = [one.graph.model_copy(update={"native": None}) for one in graphs]
    slim = with_graphs(manifest, chosen)
    read = {name for one in graphs for name in (one.graph.file, *one.weights)}
    read |= {manifest.tokenizer, manifest.chat_template}
    if manifest.certificate is not None:
        read.add(manifest.certificate.goldens)
    return slim.model_copy(update={"files": {name: record for name, record in slim.files.items() if name in read}})


def _way(manifest: Manifest, one: BrowserGraph) -> dict[str, Any]:
    shared = {manifest.tokenizer, manifest.chat_template, MANIFEST_NAME}
    if manifest.certificate is not None:
        shared.add(manifest.certificate.goldens)
    return {
        "provider": one.provider,
        "graph": one.graph.file,
        "files": sorted({one.graph.file, one.binary, *one.weights, *shared}),
        "float16": one.graph.kv.dtype == "float16",
        "largest": one.largest,
        "memory": one.memory,
        "tokens": one.tokens,
    }


def _version(files: Mapping[str, PiecedFile], ways: list[dict[str, Any]]) -> str:
    """A hash of all that is downloaded."""
    parts = [{name: file.sha256 for name, file in files.items()}, ways]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _put_page(folder: Path, page: Path, runtime: Path, index: Mapping[str, Any]) -> None:
    """The page's files, the scripts of onnxruntime-web, icons, and the service worker, which knows what it keeps."""
    for path in (page / "assets").rglob("*"):
        to = folder / path.relative_to(page)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    shutil.copyfile(page / "icon.svg", folder / "icon.svg")
    shutil.copyfile(page / "site.html", folder / "index.html")
    _put_licenses(folder / _LICENSES, page)
    for name in index["scripts"]:
        to = folder / "ort" / index["runtime"] / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(runtime / name, to)
    for name, png in icons().items():
        (folder / name).write_bytes(png)
    (folder / "manifest.webmanifest").write_text(json.dumps(_web_manifest(index["name"]), indent=1), encoding="utf-8")
    (folder / _SHELL).write_text(f"{_shell(folder)}{(page / _SHELL).read_text(encoding='utf-8')}", encoding="utf-8")


def _put_licenses(folder: Path, page: Path) -> None:
    """Of the page's packages and of ONNX Runtime, whose npm package has none: Python's is of the same sources."""
    spec = find_spec("onnxruntime")
    texts = {"thinkport.txt": _own_license(), "page.txt": page / "LICENSES.txt"}
    if spec and spec.origin:
        runtime = Path(spec.origin).parent
        texts["onnxruntime.txt"] = runtime / "LICENSE"
        texts["onnxruntime-third-party.txt"] = runtime / "ThirdPartyNotices.txt"
    folder.mkdir()
    for name, text in texts.items():
        if text.is_file():
            shutil.copyfile(text, folder / name)


def _own_license() -> Path:
    files = distribution("thinkport").files or []
    return next((Path(str(file.locate())) for file in files if file.name == "LICENSE"), Path())


def _web_manifest(name: str) -> dict[str, Any]:
    """What an installed app is called and looks like (https://www.w3.org/TR/appmanifest/)."""
    pngs = [
        {"src": file, "sizes": f"{size}x{size}", "type": "image/png", "purpose": "maskable" if masked else "any"}
        for file, (size, masked) in SIZES.items()
    ]
    return {
        "id": "./",
        "name": f"{name} · thinkport",
        "short_name": name[:12],
        "description": "A model that thinks, in this browser.",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#fdfdfc",
        "theme_color": "#fdfdfc",
        "icons": [{"src": "icon.svg", "sizes": "any", "type": "image/svg+xml"}, *pngs],
    }


def _shell(folder: Path) -> str:
    """The first line of the service worker: the page's files, and a hash of them that changes with any of them."""
    files = sorted(path for path in folder.rglob("*") if _is_shell(folder, path))
    names = [path.relative_to(folder).as_posix() for path in files]
    digest = hashlib.sha256("".join(sha256_of(path) for path in files).encode()).hexdigest()
    told = {"version": digest[:16], "files": ["./" if name == "index.html" else name for name in names]}
    return f"self.SHELL = {json.dumps(told)};\n"


def _is_shell(folder: Path, path: Path) -> bool:
    """Whether a file is kept by the service worker: neither the model nor what only home screens and people read."""
    inside = path.relative_to(folder)
    apart = {PIECES, "ort", _LICENSES, INDEX, TOUCH_ICON, *SIZES}
    return path.is_file() and inside.parts[0] not in apart


def _sums(folder: Path) -> bytes:
    """What `sha256sum -c` takes, over all files. A piece is named by its hash."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        inside = path.relative_to(folder)
        digest = path.stem if inside.parts[0] == PIECES else sha256_of(path)
        lines.append(f"{digest}  {inside.as_posix()}\n")
    return "".join(lines).encode()
