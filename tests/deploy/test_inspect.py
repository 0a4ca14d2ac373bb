"""`thinkport inspect` as a person and a program see it."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from thinkport.deploy.contents import Contents, look_inside
from thinkport.deploy.contents_view import show, show_all
from thinkport.deploy.tables import size
from thinkport.runtime.artifact.manifest import Manifest
from thinkport.runtime.cli.main import main

SECTIONS = ("nano-int4", "Weights by role", "Passes", "Graph cpu.onnx", "KV cache", "Files", "Divergence")


def drawn(contents: Contents, *, width: int, terminal: bool, view: Callable[..., None] = show_all) -> str:
    text = io.StringIO()
    view(Console(file=text, width=width, force_terminal=terminal, color_system=None, markup=False), contents)
    return text.getvalue()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("terminal", [True, False])
def test_every_section_fits_the_width_and_nothing_is_cut(artifact: Path, width: int, terminal: bool) -> None:
    text = drawn(look_inside(artifact), width=width, terminal=terminal)
    assert max(map(len, text.splitlines())) <= width
    assert all(section in text for section in SECTIONS)
    assert "…" not in text
    for said in ("4 bits in groups of 32, level 4", "5.00", "past_key_values.0-2.key", "12.0 MiB", "97.2%", "+13"):
        assert said in text


@pytest.mark.parametrize("terminal", [True, False])
def test_without_all_it_is_one_screen(artifact: Path, manifest: Manifest, terminal: bool) -> None:
    many = [manifest.graphs[0].model_copy(update={"file": f"graph-{at}.onnx"}) for at in range(8)]
    contents = Contents(folder=artifact, manifest=manifest.model_copy(update={"graphs": many}), verified=False)
    text = drawn(contents, width=80, terminal=terminal, view=show)
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80
    for said in ("recipe", "5.00 bits", "verdict", "graph-7.onnx", "KV cache", "--all shows", "can think"):
        assert said in text


def test_files_are_counted_as_the_export_counts_them(artifact: Path) -> None:
    """All that is in the folder, the manifest too."""
    contents = look_inside(artifact)
    assert contents.file_count == len(list(artifact.iterdir()))
    for view in (show, show_all):
        assert f"in {contents.file_count} files" in drawn(contents, width=120, terminal=False, view=view)


def test_piped_output_is_plain_ascii(artifact: Path) -> None:
    for view in (show, show_all):
        assert drawn(look_inside(artifact), width=80, terminal=False, view=view).isascii()


def test_an_artifact_without_passes_or_certificate_says_so(artifact: Path, manifest: Manifest) -> None:
    bare = manifest.model_copy(update={"passes": [], "certificate": None, "thinking": None})
    text = drawn(Contents(folder=artifact, manifest=bare, verified=False), width=80, terminal=False)
    assert "none: the graph is as it was traced" in text
    assert "not measured" in text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 30, "1.0 GiB"), (5 << 50, "5.0 PiB")]
)
def test_sizes_read_as_people_say_them(count: int, text: str) -> None:
    assert size(count) == text


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["thinkport", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_writes_one_json_object(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "inspect", str(artifact), "--json", "--verify") == 0
    assert json.loads(capsys.readouterr().out)["manifest"]["name"] == "nano-int4"


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda folder: (folder / "thinkport.json").unlink(), "has no thinkport.json"),
        (lambda folder: (folder / "cpu.onnx").write_bytes(b""), "has 0 bytes, expected 22"),
        (lambda folder: (folder / "thinkport.json").write_text('{"schema_version": 99}'), "upgrade thinkport"),
        (lambda folder: (folder / "thinkport.json").write_text("{"), "can't be read"),
    ],
)
def test_an_artifact_that_is_not_whole_ends_in_one_sentence(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], break_it: object, says: str
) -> None:
    assert callable(break_it)
    break_it(artifact)
    assert run(monkeypatch, "inspect", str(artifact)) == 3
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "inspect", str(tmp_path / "nowhere")) == 3
    assert "no artifact at" in capsys.readouterr().err
