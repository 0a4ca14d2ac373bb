"""A site as it is written: what is in it, what is left out, that it is the same each time, and what is refused."""

import hashlib
import json
import re
import shutil
import struct
import zlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.deploy.website.conftest import LONG

from thinkport.deploy.website import Site, SiteSettings, make_site
from thinkport.deploy.website.browser_graphs import browser_graphs
from thinkport.deploy.website.icons import png
from thinkport.deploy.website.onnxruntime_files import VERSION
from thinkport.runtime import ArtifactError, InputError
from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.errors import MissingExtraError

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def settings(stand_in_page: Path, stand_in_runtime: Path) -> SiteSettings:
    return SiteSettings(onnxruntime_web=stand_in_runtime, page=stand_in_page, piece_bytes=1 << 20)


@pytest.fixture(scope="module")
def made(nano_artifact: Path, settings: SiteSettings, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(nano_artifact, tmp_path_factory.mktemp("made") / "site", settings)


def index_of(folder: Path) -> dict:
    return json.loads((folder / "site.json").read_text(encoding="utf-8"))


def test_pieces_have_their_hashes_for_names_and_add_up_to_the_files(made: Site, nano_artifact: Path) -> None:
    index = index_of(made.path)
    weights = index["files"]["weights.bin"]
    pieces = [(made.path / "pieces" / f"{name}.bin").read_bytes() for name in weights["pieces"]]
    assert [hashlib.sha256(piece).hexdigest() for piece in pieces] == weights["pieces"]
    assert {len(piece) for piece in pieces[:-1]} == {1 << 20}
    assert b"".join(pieces) == (nano_artifact / "weights.bin").read_bytes()
    assert hashlib.sha256(b"".join(pieces)).hexdigest() == weights["sha256"]


def test_weights_are_there_once_and_graphs_for_browsers_only(made: Site) -> None:
    index = index_of(made.path)
    ways = [(way["provider"], way["graph"], way["float16"]) for way in index["ways"]]
    assert ways == [
        ("webgpu", "webgpu.onnx", True),
        ("webgpu", "webgpu-float32.onnx", False),
        ("wasm", "cpu.onnx", False),
    ]
    graphs = {name for name in index["files"] if name.endswith(".onnx")}
    assert graphs == {"webgpu.onnx", "webgpu-float32.onnx", "cpu.onnx"}
    named = {piece for file in index["files"].values() for piece in file["pieces"]}
    assert {path.stem for path in (made.path / "pieces").iterdir()} == named
    assert made.largest <= 1 << 20
    assert made.downloads["cpu.onnx"] == sum(index["files"][name]["bytes"] for name in index["ways"][2]["files"])


def test_a_graph_that_long_conversations_leave_no_room_for_is_told(
    long_artifact: Path, settings: SiteSettings, tmp_path: Path
) -> None:
    site = make_site(long_artifact, tmp_path / "site", replace(settings, context=LONG))
    index = index_of(site.path)
    assert {way["provider"] for way in index["ways"]} == {"webgpu"}
    (left_out,) = index["leftOut"]
    assert (left_out["provider"], left_out["graph"]) == ("wasm", "cpu.onnx")
    assert re.match(r"with a conversation of 2,000,000 tokens it takes \d\.\d GB", left_out["reason"])
    told = site.left_out["cpu.onnx"]
    found = re.fullmatch(re.escape(left_out["reason"]) + r"; --context (\d+) keeps it", told)
    assert found
    assert "cpu.onnx" not in index["files"]
    most = int(found[1])
    kept = browser_graphs(long_artifact, read_manifest(long_artifact), most)
    assert ("cpu.onnx" in {one.graph.file for one in kept[0]}, kept[1]) == (True, [])
    assert browser_graphs(long_artifact, read_manifest(long_artifact), most + 100)[1]


def test_weights_that_no_length_leaves_room_for_are_told(nano_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinkport.deploy.website.browser_graphs._WEBASSEMBLY", 1 << 20)
    (left_out,) = browser_graphs(nano_artifact, read_manifest(nano_artifact), 100)[1]
    assert left_out.told.endswith("GB; no --context keeps it")


def test_the_manifest_lists_what_a_browser_reads_and_nothing_else(made: Site) -> None:
    index = index_of(made.path)
    pieces = index["files"]["thinkport.json"]["pieces"]
    manifest = json.loads(b"".join((made.path / "pieces" / f"{name}.bin").read_bytes() for name in pieces))
    listed = {name for name in index["files"] if not name.endswith(".gz")} - {"thinkport.json"}
    assert set(manifest["files"]) == listed
    assert not any("native" in graph for graph in manifest["graphs"])


def test_two_runs_make_the_same_files(nano_artifact: Path, settings: SiteSettings, made: Site, tmp_path: Path) -> None:
    again = make_site(nano_artifact, tmp_path / "site", settings)
    sums = [(site.path / "SHA256SUMS").read_bytes() for site in (made, again)]
    assert sums[0] == sums[1]
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_the_service_worker_keeps_the_page_and_neither_model_nor_list(made: Site) -> None:
    first = (made.path / "sw.js").read_text(encoding="utf-8").splitlines()[0]
    shell = json.loads(first.removeprefix("self.SHELL = ").removesuffix(";"))
    assert shell["files"] == ["assets/site-1.js", "icon.svg", "./", "manifest.webmanifest"]


def test_licences_of_the_page_and_of_onnx_runtime_are_in_it(made: Site, stand_in_page: Path) -> None:
    folder = made.path / "licenses"
    assert (folder / "page.txt").read_bytes() == (stand_in_page / "LICENSES.txt").read_bytes()
    assert "Apache License" in (folder / "thinkport.txt").read_text(encoding="utf-8")
    assert "Permission is hereby granted" in (folder / "onnxruntime.txt").read_text(encoding="utf-8")
    assert (folder / "onnxruntime-third-party.txt").stat().st_size > 100_000


def test_a_site_is_replaced_by_force_alone(
    nano_artifact: Path, settings: SiteSettings, made: Site, tmp_path: Path
) -> None:
    site = Path(shutil.copytree(made.path, tmp_path / "site"))
    with pytest.raises(InputError, match="is there already: name another folder with -o, or give --force"):
        make_site(nano_artifact, site, settings)
    (site / "pieces" / f"{'0' * 64}.bin").touch()
    with pytest.raises(InputError, match=r"also holds pieces/0{64}\.bin, which thinkport did not make"):
        make_site(nano_artifact, site, settings, force=True)
    (site / "pieces" / f"{'0' * 64}.bin").unlink()
    page = (site / "index.html").read_text(encoding="utf-8")
    (site / "index.html").write_text("my own", encoding="utf-8")
    with pytest.raises(InputError, match=r"index\.html was changed since the site was made"):
        make_site(nano_artifact, site, settings, force=True)
    (site / "index.html").write_text(page, encoding="utf-8")
    make_site(nano_artifact, site, settings, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_folder_that_is_no_site_is_never_replaced(
    nano_artifact: Path, settings: SiteSettings, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(InputError, match="is not a site that thinkport made"):
        make_site(nano_artifact, tmp_path / "mine", settings, force=True)
    assert (tmp_path / "mine" / "notes.txt").read_text(encoding="utf-8") == "keep"


def test_a_file_that_is_put_into_a_site_while_it_is_made_anew_stays(
    nano_artifact: Path, settings: SiteSettings, made: Site, tmp_path: Path
) -> None:
    site = shutil.copytree(made.path, tmp_path / "site")

    def put(_: str) -> None:
        (site / "notes.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(InputError, match=r"the site also holds notes\.txt"):
        make_site(nano_artifact, site, settings, force=True, told=put)
    assert (site / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_the_current_folder_is_refused_also_where_it_is_empty(
    nano_artifact: Path, settings: SiteSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is the current folder"):
        make_site(nano_artifact, Path(), settings)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_artifact_leaves_nothing(nano_artifact: Path, settings: SiteSettings, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(nano_artifact, tmp_path / "damaged"))
    with (damaged / "weights.bin").open("r+b") as file:
        file.write(b"other")
    with pytest.raises(ArtifactError, match=r"weights\.bin does not have the recorded sha256"):
        make_site(damaged, tmp_path / "site", settings)
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]


@pytest.mark.parametrize(
    ("package", "words"),
    [
        (None, "is not the npm package onnxruntime-web"),
        ({"name": "other", "version": VERSION}, "is not the npm package onnxruntime-web"),
        ({"name": "onnxruntime-web", "version": "1.0.0"}, rf"has onnxruntime-web 1\.0\.0, expected {VERSION}"),
        ({"name": "onnxruntime-web", "version": VERSION}, r"lacks dist/ort\.webgpu\.min\.mjs"),
    ],
)
def test_another_folder_in_place_of_onnxruntime_web_is_refused(
    nano_artifact: Path, stand_in_page: Path, tmp_path: Path, package: dict | None, words: str
) -> None:
    if package is not None:
        (tmp_path / "package.json").write_text(json.dumps(package), encoding="utf-8")
    with pytest.raises(InputError, match=words):
        make_site(nano_artifact, tmp_path / "site", SiteSettings(onnxruntime_web=tmp_path, page=stand_in_page))


def test_without_onnxruntime_web_the_line_that_installs_it_is_told(
    nano_artifact: Path, stand_in_page: Path, tmp_path: Path
) -> None:
    if find_spec("thinkport_onnxruntime_web") is not None:
        pytest.skip("thinkport-onnxruntime-web is installed here")
    with pytest.raises(MissingExtraError, match=r"pip install .*deploy/web/onnxruntime_web"):
        make_site(nano_artifact, tmp_path / "site", SiteSettings(page=stand_in_page))


def test_the_version_is_the_one_that_the_engine_is_tested_with() -> None:
    engine = json.loads((ROOT / "deploy" / "web" / "engine" / "package.json").read_text(encoding="utf-8"))
    project = (ROOT / "deploy" / "web" / "onnxruntime_web" / "pyproject.toml").read_text(encoding="utf-8")
    assert engine["peerDependencies"]["onnxruntime-web"] == VERSION
    assert f'version = "{VERSION}"' in project
    app = json.loads((ROOT / "deploy" / "web" / "app" / "package.json").read_text(encoding="utf-8"))
    shared = {name: version for name, version in app["dependencies"].items() if name.startswith("@huggingface/")}
    assert shared == {name: engine["dependencies"][name] for name in shared}


@pytest.mark.parametrize(("asked", "words"), [({"context": 8}, "8 tokens"), ({"piece_bytes": 21 << 20}, "expected 1")])
def test_settings_that_no_browser_or_host_takes_are_refused(asked: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        SiteSettings(**asked)


def test_icons_are_png_files_with_the_letter_on_its_ground() -> None:
    made = png(48, masked=False)
    assert struct.unpack(">2I", made[16:24]) == (48, 48)
    data = zlib.decompress(made[made.index(b"IDAT") + 4 : made.index(b"IEND") - 8])
    rows = [data[at + 1 : at + 1 + 48 * 4] for at in range(0, len(data), 1 + 48 * 4)]
    assert rows[0][3] == 0  # a corner is clear
    assert tuple(rows[16][24 * 4 : 25 * 4]) == (255, 255, 255, 255)  # the bar of the T
    assert tuple(rows[40][24 * 4 : 25 * 4]) == (0x4F, 0x5B, 0xD5, 255)
