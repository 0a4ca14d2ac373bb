"""The server for trying a site: headers, addresses and certificates, and what it says of them."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from thinkport.deploy.website import SiteSettings, make_site
from thinkport.deploy.website.site_server import check_certificate
from thinkport.runtime import InputError
from thinkport.runtime.server.interface.page import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

THINKPORT = [sys.executable, "-c", "from thinkport.launch import main; main()"]


@pytest.fixture(scope="module")
def small_site(nano_artifact, stand_in_page, stand_in_runtime, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("served") / "site"
    make_site(nano_artifact, output, SiteSettings(onnxruntime_web=stand_in_runtime, page=stand_in_page))
    return output


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate of its own for 127.0.0.1, and its key."""
    x509 = pytest.importorskip("cryptography.x509", reason="cryptography is not installed")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    folder = tmp_path_factory.mktemp("certificate")
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return files


def test_every_answer_has_the_headers_that_threads_need(small_site, host) -> None:
    served = host(small_site)
    for path, kind, lasting in (
        ("", "text/html; charset=utf-8", False),
        ("sw.js", "text/javascript; charset=utf-8", False),
        ("site.json", "application/json", False),
        ("manifest.webmanifest", "application/manifest+json", False),
        ("ort/1.30.0/ort.wasm.min.mjs", "text/javascript", True),
        (f"pieces/{next((small_site / 'pieces').iterdir()).name}", None, True),
    ):
        answer = httpx.get(served.url + path)
        assert answer.status_code == 200
        assert kind in (None, answer.headers["content-type"])
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "'wasm-unsafe-eval'" in answer.headers["content-security-policy"]
        assert ("immutable" in answer.headers["cache-control"]) is lasting
    missing = httpx.get(f"{served.url}assets/site-0.js")
    assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-cache")


def test_nothing_outside_the_folder_is_served(small_site, host) -> None:
    (small_site.parent / "secret.txt").write_text("mine", encoding="utf-8")
    served = host(small_site)
    for path in ("../secret.txt", "%2e%2e/secret.txt", "pieces/..%2f..%2fsecret.txt", "..%5csecret.txt", "nothing"):
        assert httpx.get(served.url + path).status_code == 404


def test_files_that_are_no_certificate_are_refused(certificate, tmp_path) -> None:
    check_certificate(*certificate)
    with pytest.raises(InputError, match=r"no file at .*lost\.pem"):
        check_certificate(tmp_path / "lost.pem", certificate[1])
    with pytest.raises(InputError, match=r"can't be used .*expected a certificate and its key in PEM"):
        check_certificate(certificate[1], certificate[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--certfile", "a.pem", "--serve"], "--certfile and --keyfile belong together"),
        (["--certfile", "a.pem", "--keyfile", "b.pem"], "are for --serve"),
        (["--serve", "--certfile", "a.pem", "--keyfile", "b.pem"], "no file at a.pem"),
        (["--serve", "--port", "70000"], "can't be listened on"),
        (["--serve", "--host", "nowhere.invalid"], "which is no address here"),
    ],
)
def test_options_that_can_not_be_met_end_with_2_before_anything_is_written(
    nano_artifact, tmp_path, options, words
) -> None:
    command = [*THINKPORT, "web", str(nano_artifact), "-o", "site", *options]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert words in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("secure", [True, False], ids=["https", "http"])
def test_the_verb_serves_what_it_wrote_and_says_who_will_refuse(
    nano_artifact, stand_in_runtime, certificate, tmp_path, secure
) -> None:
    if not (FOLDER / "site.html").is_file():
        pytest.skip("the page is not built: python deploy/web/build.py")
    options = ["-o", "site", "--onnxruntime-web", str(stand_in_runtime), "--serve", "--host", "0.0.0.0", "--port", "0"]
    if secure:
        options += ["--certfile", str(certificate[0]), "--keyfile", str(certificate[1])]
    command = [*THINKPORT, "web", str(nano_artifact), *options]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            url = next(line for line in server.stderr if "://" in line).split()[0]
            trusted = ssl.create_default_context(cafile=str(certificate[0]))
            trusted.check_hostname = False
            trusted.verify_mode = ssl.CERT_NONE
            answer = httpx.get(url.replace("0.0.0.0", "127.0.0.1"), verify=trusted)
            assert answer.status_code == 200
            assert url.startswith("https://" if secure else "http://")
            if not secure:
                assert "Browsers on other machines will refuse" in server.stderr.readline()
        finally:
            server.terminate()
    shutil.rmtree(tmp_path / "site")
