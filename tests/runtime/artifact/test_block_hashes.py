"""The fast hashes of a file's blocks find what a sum or a size does not, and say where."""

from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import xxhash

from thinkport.runtime.artifact.block_hashes import BLOCK, BlockHasher, BlockHashes, check_blocks
from thinkport.runtime.artifact.manifest import FileRecord, hash_file, read_manifest
from thinkport.runtime.errors import ArtifactError

SHIFTED = "what is added here and taken there"


def hashed(content: bytes, piece: int, block: int = 64) -> BlockHashes:
    hasher = BlockHasher(block)
    for at in range(0, len(content), piece):
        hasher.update(content[at : at + piece])
    return hasher.hashes


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128, 1000])
@pytest.mark.parametrize("piece", [1, 7, 64, 5000])
def test_hashes_are_those_of_the_blocks_whatever_pieces_come(tmp_path: Path, size: int, piece: int) -> None:
    content = bytes(np.random.default_rng(size).integers(0, 256, size, np.uint8))
    expected = "".join(xxhash.xxh64_hexdigest(content[at : at + 64]) for at in range(0, size, 64))
    assert hashed(content, piece).xxh64 == expected
    (tmp_path / "f").write_bytes(content)
    check_blocks(tmp_path / "f", hashed(content, piece))


def changed(content: bytes, how: str) -> bytes:
    numbers = np.frombuffer(content, np.uint64).copy()
    match how:
        case "one bit":
            numbers[77] ^= 1
        case "two words exchanged":  # whose sum stays the same
            numbers[[10, 11]] = numbers[[11, 10]]
        case "two blocks exchanged":
            numbers = np.concatenate([numbers[8:16], numbers[:8], numbers[16:]])
        case "what is added here and taken there":
            numbers[20] += np.uint64(5)
            numbers[21] -= np.uint64(5)
        case "shorter":
            numbers = numbers[:-1]
        case "longer":
            numbers = np.append(numbers, np.uint64(1))
    return numbers.tobytes()


@pytest.mark.parametrize(
    "how",
    ["one bit", "two words exchanged", "two blocks exchanged", SHIFTED, "shorter", "longer"],
)
def test_any_change_is_found(tmp_path: Path, how: str) -> None:
    content = bytes(np.random.default_rng(1).integers(0, 256, 1024, np.uint8))
    (tmp_path / "f").write_bytes(changed(content, how))
    with pytest.raises(ArtifactError, match=r"f is not what was exported: what lies from byte \d+ on was changed"):
        check_blocks(tmp_path / "f", hashed(content, 100))


def test_the_first_of_several_changes_is_named(tmp_path: Path) -> None:
    content = np.random.default_rng(3).integers(0, 256, 64 * 41 + 5, np.uint8)
    recorded = hashed(content.tobytes(), 1000)
    for at in (64 * 41 + 2, 64 * 30, 64 * 9 + 1):  # in runs of several threads
        content[at] ^= 1
        (tmp_path / "f").write_bytes(content.tobytes())
        with pytest.raises(ArtifactError, match=rf"from byte {at // 64 * 64} on"):
            check_blocks(tmp_path / "f", recorded)


def test_an_export_records_the_blocks_of_its_weights(nano_artifact: Path) -> None:
    record = read_manifest(nano_artifact).files["weights.bin"]
    assert record.blocks is not None
    assert len(record.blocks.xxh64) == 16 * -(-record.bytes // BLOCK)
    check_blocks(nano_artifact / "weights.bin", record.blocks)
    assert record.sha256 == hash_file(nano_artifact / "weights.bin")


def test_a_record_without_blocks_writes_no_such_key() -> None:
    assert "blocks" not in FileRecord(bytes=1, sha256="0" * 64).model_dump(mode="json")


def test_what_a_load_pays_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, since machines differ: 64 MiB, as they lie in the system's memory of files."""
    content = np.random.default_rng(2).integers(0, 256, 64 << 20, np.uint8).tobytes()
    (tmp_path / "weights.bin").write_bytes(content)
    hasher = BlockHasher()
    hasher.update(content)
    seconds = []
    for _ in range(3):
        begun = perf_counter()
        check_blocks(tmp_path / "weights.bin", hasher.hashes)
        seconds.append(perf_counter() - begun)
    with capsys.disabled():
        print(f"\n64 MiB in {1e3 * min(seconds):.1f} ms: {0.0671 / min(seconds):.1f} GB/s")
