"""Manifests are signed as minisign signs files: it reads ours, we read its, and a changed manifest is found."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.fake_hub import REPO, TOKEN, FakeHub

from thinkport.deploy.verification import verify
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, SIGNATURE_NAME
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.hub import pull, push
from thinkport.runtime.hub.minisign import PublicKey, SecretKey, check_signature
from thinkport.runtime.hub.signed_manifest import check_signed, sign_manifest

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install thinkport[sign]")

# The key, text and signatures that the documentation of minisign's own readers has.
PUBLIC = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
MESSAGE = b"test"


def own_key(number: bytes = b"12345678") -> tuple[SecretKey, PublicKey]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = bytes(range(32))
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return SecretKey(number, seed), PublicKey(number=number, key=public)


def text_of(key: PublicKey) -> str:
    import base64

    return base64.b64encode(b"Ed" + key.number + key.key).decode()


PLAIN = (
    "untrusted comment: signature from minisign secret key\n"
    "RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n"
    "trusted comment: timestamp:1555779966\tfile:test\n"
    "QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==\n"
)
HASHED = (
    "untrusted comment: signature from minisign secret key\n"
    "RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n"
    "trusted comment: timestamp:1633700835\tfile:test\tprehashed\n"
    "wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==\n"
)


@pytest.mark.parametrize("signature", [PLAIN, HASHED], ids=["of the file", "of its hash"])
def test_signatures_of_minisign_are_read(signature: str) -> None:
    comment = check_signature(MESSAGE, signature, PublicKey.parse(PUBLIC), "test")
    assert comment.startswith("timestamp:1")
    with pytest.raises(ArtifactError, match="test is not what E7620F1842B4E81F signed"):
        check_signature(MESSAGE + b"!", signature, PublicKey.parse(PUBLIC), "test")
    with pytest.raises(ArtifactError, match="is not what"):
        check_signature(MESSAGE, signature.replace("timestamp:1", "timestamp:2"), PublicKey.parse(PUBLIC), "test")


def test_what_we_sign_we_read_and_every_change_is_found() -> None:
    secret, public = own_key()
    text = secret.sign(b"a manifest", MANIFEST_NAME)
    assert check_signature(b"a manifest", text, public, "x").endswith(f"file:{MANIFEST_NAME}\thashed")
    lines = text.splitlines()
    changes = [
        (b"another", text),
        (b"a manifest", text.replace(lines[1], lines[1][:-4] + "AAA=")),
        (b"a manifest", text.replace("hashed", "Hashed")),
        (b"a manifest", "\n".join(lines[:3])),
        (b"a manifest", ""),
        (b"a manifest", text.replace("trusted comment: ", "", 1)),
    ]
    for content, changed in changes:
        with pytest.raises(ArtifactError):
            check_signature(content, changed, public, "x")
    with pytest.raises(ArtifactError, match="is signed with the key"):
        check_signature(b"a manifest", text, own_key(b"abcdefgh")[1], "x")


@pytest.mark.parametrize("given", ["", "RWQ", "not a key", PUBLIC[:-1], PUBLIC + "A", "RW" + "!" * 54, "A" * 300])
def test_what_is_no_public_key_is_refused(given: str) -> None:
    with pytest.raises(InputError, match="is no public key of minisign: expected one of 56 characters"):
        PublicKey.parse(given)


@pytest.mark.parametrize("content", ["", "untrusted comment: x\nAAAA\n", "one\ntwo\n"])
def test_what_is_no_secret_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(InputError, match="is no secret key of minisign: make one with `minisign -G`"):
        SecretKey.read(tmp_path / "key", lambda: "")


def test_a_signed_artifact_is_pushed_with_its_signature_and_pulled_by_its_key(
    hub: FakeHub, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    secret, public = own_key()
    push(artifact, REPO, sign=secret, endpoint=hub.url)
    assert SIGNATURE_NAME in hub.files
    key = text_of(public)
    (tmp_path / "minisign.pub").write_text(f"untrusted comment: minisign public key\n{key}\n")
    for given in (key, str(tmp_path / "minisign.pub")):
        pull(REPO, endpoint=hub.url, cache_dir=tmp_path / "hub", signed_by=given)
    copy = pull(REPO, tmp_path / "copy", endpoint=hub.url, cache_dir=tmp_path / "hub", signed_by=key).folder
    assert (copy / SIGNATURE_NAME).is_file()
    checks = {check.name: check for check in verify(copy, signed_by=key).checks}
    assert checks["signature"].passed


def test_an_artifact_of_another_signer_or_of_none_is_not_fetched(
    hub: FakeHub, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    push(artifact, REPO, endpoint=hub.url)
    key = text_of(own_key()[1])
    with pytest.raises(ArtifactError, match="has no signature that can be read"):
        pull(REPO, endpoint=hub.url, cache_dir=tmp_path / "a", signed_by=key)
    push(artifact, REPO, sign=own_key(b"abcdefgh")[0], endpoint=hub.url)
    with pytest.raises(ArtifactError, match="is signed with the key"):
        pull(REPO, endpoint=hub.url, cache_dir=tmp_path / "b", signed_by=key)
    assert not list((tmp_path / "b").rglob("weights.bin"))


def test_a_manifest_that_was_changed_after_it_was_signed_is_found(artifact: Path) -> None:
    secret, public = own_key()
    sign_manifest(artifact, secret)
    check_signed(artifact, public)
    text = (artifact / MANIFEST_NAME).read_bytes()
    (artifact / MANIFEST_NAME).write_bytes(text.replace(b'"kl_mean": 0', b'"kl_mean": 1', 1))
    with pytest.raises(ArtifactError, match="it or its signature was changed"):
        check_signed(artifact, public)
    found = verify(artifact, signed_by=text_of(public))
    assert found.exit_code == 3


def test_a_link_out_of_the_artifact_is_not_pushed(
    hub: FakeHub, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (tmp_path / "id_ed25519").write_text("a private key")
    for name in ("README.md", SIGNATURE_NAME):
        (artifact / name).unlink(missing_ok=True)
        (artifact / name).symlink_to(tmp_path / "id_ed25519")
        with pytest.raises(ArtifactError, match=rf"{name} is a link to .*id_ed25519, out of the artifact"):
            push(artifact, REPO, endpoint=hub.url)
        (artifact / name).unlink()
    assert not hub.files


def test_a_signature_is_never_written_through_a_link(artifact: Path, tmp_path: Path, hub: FakeHub) -> None:
    mine = tmp_path / "mine"
    mine.write_text("what nobody may overwrite")
    (artifact / SIGNATURE_NAME).symlink_to(mine)
    with pytest.raises(ArtifactError, match="is a link to"):
        push(artifact, REPO, sign=own_key()[0], endpoint=hub.url)
    sign_manifest(artifact, own_key()[0])
    assert not (artifact / SIGNATURE_NAME).is_symlink()
    assert mine.read_text() == "what nobody may overwrite"


@pytest.mark.skipif(shutil.which("minisign") is None, reason="Debian's minisign is not installed: apt install minisign")
@pytest.mark.parametrize("password", [None, "correct horse"])
def test_minisign_itself_agrees(artifact: Path, tmp_path: Path, password: str | None) -> None:
    public, secret = tmp_path / "minisign.pub", tmp_path / "minisign.key"
    made = ["minisign", "-G", "-f", "-p", str(public), "-s", str(secret)]
    typed = "" if password is None else f"{password}\n{password}\n"
    subprocess.run([*made, *(["-W"] if password is None else [])], input=typed, text=True, check=True)
    key = SecretKey.read(secret, lambda: password or "")
    if password is not None:
        with pytest.raises(InputError, match=r"the password of .* is wrong"):
            SecretKey.read(secret, lambda: "wrong")
    sign_manifest(artifact, key)
    manifest = str(artifact / MANIFEST_NAME)
    subprocess.run(["minisign", "-V", "-p", str(public), "-m", manifest], check=True, capture_output=True)
    (artifact / SIGNATURE_NAME).unlink()
    typed = "" if password is None else f"{password}\n"
    subprocess.run(["minisign", "-S", "-s", str(secret), "-m", manifest], input=typed, text=True, check=True)
    check_signed(artifact, PublicKey.parse(str(public)))
