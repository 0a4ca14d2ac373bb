"""A checkpoint's licence is found where the Hub keeps it, and carried along."""

from pathlib import Path

import pytest
from tests.export.trace.checkpoints import narrow_checkpoint

from thinkport.export.checkpoint.licence import licence_files, licence_id
from thinkport.export.exporter import export
from thinkport.export.settings import ExportSettings


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlibrary_name: transformers\nlicense: apache-2.0\n---\n# Model\n", "apache-2.0"),
        ('---\nlicense: "cc-by-nc-4.0"\n---', "cc-by-nc-4.0"),
        ("---\nlicense:\n  - mit\n---\n", None),
        ("# Model\n\nlicense: mit\n", None),
        ("---\nlanguage: en\n---\nlicense: mit\n---\n", None),
        ("", None),
    ],
)
def test_the_licence_is_the_one_of_the_cards_front_matter(tmp_path: Path, card: str, expected: str | None) -> None:
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    assert licence_id(tmp_path) == expected


def test_a_checkpoint_without_a_card_names_no_licence(tmp_path: Path) -> None:
    assert licence_id(tmp_path) is None
    assert licence_files(tmp_path) == []


def test_an_artifact_carries_every_licence_file_and_its_card_names_the_licence(tmp_path: Path) -> None:
    checkpoint = narrow_checkpoint(tmp_path / "narrow")
    for name in ("LICENSE.txt", "LICENSE-MODEL", "NOTICE"):
        (checkpoint / name).write_text(name, encoding="utf-8")
    (checkpoint / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    report = export(ExportSettings(checkpoint=str(checkpoint), output=tmp_path / "artifact", certificate=False))
    assert {"LICENSE.txt", "LICENSE-MODEL", "NOTICE"} <= set(report.manifest.files)
    card = (report.folder / "README.md").read_text(encoding="utf-8")
    assert 'license: "apache-2.0"' in card
    assert "`LICENSE-MODEL`, `LICENSE.txt`, `NOTICE`" in card
