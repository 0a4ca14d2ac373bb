"""A static site in a real browser: visits with and without a network, damage, two tabs, little room, new versions."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import shutil
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.browsers import ELSEWHERE, IN_EACH
from tests.deploy.website.conftest import LONG, NPM, PIECE

from thinkport.deploy.website import SiteSettings, make_site
from thinkport.runtime.artifact.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.long
SHOTS = os.environ.get("THINKPORT_SCREENSHOTS")  # a folder to keep them in, to be looked at
WIDTHS = (320, 390, 768, 1440)
AXE = NPM.parent / "axe-core" / "axe.min.js"
FIRST_LOAD = 150_000  # bytes
GPU = "--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader --enable-features=Vulkan"


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """A new visitor on a page. Requests elsewhere, errors of scripts and breaches of the policy fail the test."""
    contexts, wrong = [], []

    def look_at(page: Any, url: str) -> None:
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda told: wrong.append(told.text) if "Content Security" in told.text else None)
        page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith((url, "blob:")) else None)
        page.set_default_timeout(90_000)

    def visit(url: str, context: Any = None, *, script: str | None = None, **options: Any) -> Any:
        if context is None:
            context = browser.new_context(**options)
            contexts.append(context)
            if script:
                context.add_init_script(script)
        page = context.new_page()
        look_at(page, url)
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not wrong


def shoot(page: Any, name: str) -> None:
    """Hold a screen against axe's rules, light and dark, on a phone and on a desk; keep pictures where asked to."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in WIDTHS if SHOTS else (WIDTHS[0], WIDTHS[-1]):
            page.set_viewport_size({"width": width, "height": 800})
            broken = page.evaluate(
                "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html]))"
            )
            assert not broken, (name, scheme, width, broken)
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, (name, width, wide)
            if SHOTS:
                page.screenshot(path=f"{SHOTS}/{name}-{scheme}-{width}.png")


def download(page: Any) -> None:
    page.get_by_role("button", name=re.compile("^(Download|Go on with)")).click()


def running(page: Any, graph: str = "cpu.onnx") -> None:
    page.locator(".top .where").filter(has_text=graph).wait_for(state="attached")


def text(page: Any) -> str:
    said: str = page.locator(".start").inner_text()
    return said


def fails(page: Any, words: str) -> None:
    page.locator(".problem").filter(has_text=re.compile(words)).wait_for()


def answers(page: Any) -> str:
    box = page.get_by_label("Message", exact=True)
    box.fill("What is 86*57?")
    box.press("Enter")
    page.locator(".reply[aria-busy=false]").last.wait_for()
    said: str = page.locator(".answer").last.inner_text()
    return said.strip()


def kept_by_worker(page: Any) -> None:
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")


def pieces_of(site: Path, graph: str = "cpu.onnx") -> list[str]:
    index = json.loads((site / "site.json").read_text(encoding="utf-8"))
    (files,) = (way["files"] for way in index["ways"] if way["graph"] == graph)
    return list(dict.fromkeys(piece for name in files for piece in index["files"][name]["pieces"]))


# What a page or a worker does with the browser's own file system.
TOP = 'await (await navigator.storage.getDirectory()).getDirectoryHandle("thinkport")'
KEPT = f"""async () => {{
  const names = [];
  for await (const folder of ({TOP}).values())
    for await (const name of (await folder.getDirectoryHandle("pieces")).keys()) names.push(name);
  return names;
}}"""
DAMAGE = f"""async (name) => {{
  for await (const folder of ({TOP}).values()) {{
    const file = await (await folder.getDirectoryHandle("pieces")).getFileHandle(name);
    const writing = await file.createWritable({{ keepExistingData: true }});
    await writing.write({{ type: "write", position: 100, data: new Uint8Array(8) }});
    await writing.close();
  }}
}}"""


@IN_EACH
def test_a_first_visit_says_what_comes_downloads_it_and_answers_later_visits_need_no_network(
    site, host, opened
) -> None:
    served = host(site)
    page = opened(served.url)
    page.get_by_role("button", name=re.compile(r"^Download \d+ MB")).wait_for()
    assert re.search(r"WebAssembly\), \d threads", text(page))
    assert "No phone was tried" in text(page)
    assert served.pieces == 0
    shoot(page, "offer")
    download(page)
    running(page)
    wanted = pieces_of(site)
    assert served.pieces == len(wanted)
    assert sorted(page.evaluate(KEPT)) == sorted(wanted)
    assert answers(page) == "4902"
    shoot(page, "answer")
    page.reload()
    running(page)
    assert served.pieces == len(wanted)
    kept_by_worker(page)
    page.context.set_offline(True)
    page.reload()
    running(page)
    assert page.evaluate("crossOriginIsolated")
    assert answers(page) == "4902"


def test_a_first_load_is_small_but_for_onnxruntime_web(site, host, opened) -> None:
    served = host(site)
    page = opened(served.url)
    page.get_by_role("button", name=re.compile("^Download")).wait_for()
    first = {path.strip("/") or "index.html" for path in served.asked}
    size = sum(len(gzip.compress((site / name).read_bytes())) for name in first if name != "sw.js")
    assert not any("katex" in name or "highlight" in name for name in first) or "sw.js" in first
    shell = json.loads((site / "sw.js").read_text(encoding="utf-8").split("=", 1)[1].split(";\n")[0])
    names = [site / name.replace("./", "index.html") for name in shell["files"]]
    whole = sum(len(gzip.compress(path.read_bytes())) for path in names if path.is_file())
    needed = ("index.html", "site.json", "assets/site-", "assets/host-", "assets/piece_worker", "assets/engine_worker")
    code = sum(
        len(gzip.compress(path.read_bytes()))
        for path in site.rglob("*")
        if path.is_file() and path.relative_to(site).as_posix().startswith(needed)
    )
    print(f"first screen and engine {code:,} bytes; kept for later visits {whole:,}; asked for so far {size:,}")
    assert code < FIRST_LOAD


@IN_EACH
def test_a_piece_that_is_damaged_here_is_fetched_again_and_offline_it_is_told(site, host, opened) -> None:
    served = host(site)
    page = opened(served.url)
    download(page)
    running(page)
    before = served.pieces
    page.evaluate(DAMAGE, pieces_of(site)[-1])
    page.reload()
    running(page)
    assert served.pieces == before + 1
    assert answers(page) == "4902"
    kept_by_worker(page)
    page.evaluate(DAMAGE, pieces_of(site)[-1])
    page.context.set_offline(True)
    page.reload()
    fails(page, "The site can't be reached .*what came so far is kept")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    running(page)


def test_a_piece_that_is_damaged_on_the_host_is_refused(site, host, opened) -> None:
    bad = site / "pieces" / f"{pieces_of(site)[1]}.bin"
    bad.write_bytes(bytes(bad.stat().st_size))
    page = opened(host(site).url)
    download(page)
    fails(page, r"is not the piece that it should be: the host's copy is damaged; try again later")
    bad.unlink()
    page.get_by_role("button", name="Try again").click()
    fails(page, r"is not there \(status 404\): the site is being replaced")


@IN_EACH
def test_a_download_that_is_cancelled_or_broken_goes_on_where_it_was(site, host, opened) -> None:
    served = host(site)
    late = pieces_of(site)[6]
    served.refuses.add(f"/pieces/{late}.bin")
    page = opened(served.url)
    download(page)
    page.locator("progress[value]").wait_for()
    page.get_by_role("status").filter(has_text=re.compile(r"[1-9][\d.]* MB of")).wait_for()
    shoot(page, "download")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Go on with the download").wait_for()
    there = page.evaluate(KEPT)
    assert 0 < len(there) < len(pieces_of(site))
    shoot(page, "cancelled")
    download(page)
    fails(page, "The site answers 503: what came so far is kept; go on later")
    shoot(page, "failed")
    page.reload()
    page.get_by_role("button", name="Go on with the download").wait_for()
    served.refuses.clear()
    served.asked.clear()
    download(page)
    running(page)
    assert not {f"/pieces/{name}.bin" for name in there} & set(served.asked)
    assert f"/pieces/{late}.bin" in served.asked


@IN_EACH
def test_of_two_tabs_one_has_the_model_and_the_other_may_take_it(site, host, opened) -> None:
    served = host(site)
    first = opened(served.url)
    download(first)
    running(first)
    second = opened(served.url, first.context)
    second.get_by_role("status").filter(has_text="The model runs in another tab of this page").wait_for()
    shoot(second, "elsewhere")
    second.get_by_role("button", name="Use it here").click()
    running(second)
    assert answers(second) == "4902"
    first.get_by_role("heading", name="Moved to another tab").wait_for()
    shoot(first, "moved")
    first.reload()
    first.get_by_role("heading", name="Open in another tab").wait_for()
    second.close()
    running(first)
    assert served.pieces == len(pieces_of(site))


def test_two_tabs_share_one_download(site, host, opened) -> None:
    served = host(site)
    served.refuses.add(f"/pieces/{pieces_of(site)[4]}.bin")
    first = opened(served.url)
    download(first)
    second = opened(served.url, first.context)
    download(second)
    second.get_by_role("status").filter(has_text=re.compile(r"is being downloaded, \d+ % in another tab")).wait_for()
    served.refuses.clear()
    running(first)
    assert len(set(served.asked) & {f"/pieces/{name}.bin" for name in pieces_of(site)}) == len(pieces_of(site))
    assert second.get_by_role("heading", name="Open in another tab").is_visible()


def test_a_device_with_too_little_storage_or_memory_is_told_before_the_download(site, host, opened) -> None:
    served = host(site)
    little = "navigator.storage.estimate = async () => ({ quota: 3e6, usage: 1e6 })"
    page = opened(served.url, script=little)
    wanted = sum((site / "pieces" / f"{name}.bin").stat().st_size for name in pieces_of(site))
    fails(page, rf"It needs {wanted / 1e6:.0f} MB of storage, and this browser has 2\.0 MB left")
    assert page.get_by_role("button", name=re.compile("^Download")).is_disabled()
    page = opened(served.url, script="Object.defineProperty(Navigator.prototype, 'deviceMemory', { value: 0.25 })")
    fails(page, r"On the processor: it takes 0\.\d GB of memory, and this device has 0\.3 GB")
    shoot(page, "refused")
    assert served.pieces == 0


def test_a_device_without_webgpu_is_told_what_a_site_for_long_conversations_left_out(
    long_artifact, real_runtime, host, opened, tmp_path
) -> None:
    made = make_site(long_artifact, tmp_path / "site", SiteSettings(onnxruntime_web=real_runtime, context=LONG))
    page = opened(host(made.path).url)
    fails(page, r"On the processor: with a conversation of 2,000,000 tokens it takes \d\.\d GB")
    fails(page, "On the GPU: this browser gives no GPU by WebGPU")
    shoot(page, "left-out")


def test_a_large_model_in_webassembly_is_said_to_be_slow_before_the_download(site, host, opened) -> None:
    index = json.loads((site / "site.json").read_text(encoding="utf-8"))
    weights, piece = index["files"]["weights.bin"], index["pieceBytes"]
    names = [f"{at:064x}" for at in range(400)]
    weights.update(bytes=400 * piece, pieces=names)
    (site / "site.json").write_text(json.dumps(index), encoding="utf-8")
    page = opened(host(site).url)
    page.get_by_role("button", name=re.compile(r"^Download \d+ MB")).wait_for()
    assert re.search(r"about 2 seconds for each word or part of one", text(page))
    shoot(page, "slow")


def test_storage_that_is_full_in_the_middle_keeps_what_came(site, host, opened) -> None:
    served = host(site)
    page = opened(served.url)
    page.get_by_role("button", name=re.compile("^Download")).wait_for()
    session = page.context.new_cdp_session(page)
    room = {"origin": served.url.rstrip("/"), "quotaSize": 4 * PIECE}
    session.send("Storage.overrideQuotaForOrigin", room)
    download(page)
    fails(page, r"This browser has no room for \d+ MB more: free some space, then go on")
    there = page.evaluate(KEPT)
    session.send("Storage.overrideQuotaForOrigin", {"origin": room["origin"]})
    served.asked.clear()
    page.get_by_role("button", name="Try again").click()
    running(page)
    assert there
    assert not {f"/pieces/{name}.bin" for name in there} & set(served.asked)


@IN_EACH
def test_a_model_that_is_deleted_is_gone_and_conversations_stay(site, host, opened) -> None:
    page = opened(host(site).url)
    download(page)
    running(page)
    assert answers(page) == "4902"
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Settings", exact=True).click()
    shoot(page, "settings")
    page.get_by_role("button", name="Delete the model").click()
    page.get_by_role("button", name=re.compile("^Download")).wait_for()
    assert page.evaluate(KEPT) == []
    download(page)
    running(page)
    page.locator(".entry .title").filter(has_text="What is 86*57?").wait_for()


def test_a_model_that_the_browser_deleted_is_offered_again(site, host, opened) -> None:
    page = opened(host(site).url)
    download(page)
    running(page)
    page.evaluate("async () => (await navigator.storage.getDirectory()).removeEntry('thinkport', { recursive: true })")
    assert answers(page) == "4902"  # it is in memory
    page.reload()
    page.get_by_role("button", name=re.compile("^Download")).wait_for()


def newer(site: Path, artifact: Path, name: str = "nano-two") -> list[str]:
    """Put another version of the model into a site; returns its pieces that the first one lacks."""
    old = set(pieces_of(site))
    manifest = json.loads((artifact / MANIFEST_NAME).read_text(encoding="utf-8"))
    manifest.pop("manifest_sha256", None)
    manifest["name"] = name
    (artifact / MANIFEST_NAME).write_text(json.dumps(manifest), encoding="utf-8")
    make_site(artifact, site, SiteSettings(onnxruntime_web=NPM, piece_bytes=PIECE), force=True)
    return [piece for piece in pieces_of(site) if piece not in old]


def test_a_new_version_fetches_what_changed_while_the_old_one_goes_on(
    site, host, opened, nano_artifact, tmp_path
) -> None:
    served = host(site)
    page = opened(served.url)
    download(page)
    running(page)
    name = page.locator(".top .name").inner_text()
    changed = newer(site, Path(shutil.copytree(nano_artifact, tmp_path / "artifact")))
    assert 0 < len(changed) < 3
    served.asked.clear()
    page.reload()
    running(page)
    page.get_by_text("There is a new version of the model").wait_for()
    assert page.locator(".top .name").inner_text() == name
    assert served.pieces == 0
    shoot(page, "newer")
    page.get_by_role("button", name="Download", exact=True).click()
    page.get_by_text("The new version of the model is here").wait_for()
    assert answers(page) == "4902"
    assert {path for path in served.asked if "pieces" in path} == {f"/pieces/{piece}.bin" for piece in changed}
    page.get_by_role("button", name="Use it now").click()
    page.locator(".top .name").filter(has_text="nano-two").wait_for()
    assert sorted(page.evaluate(KEPT)) == sorted(pieces_of(site))
    assert answers(page) == "4902"


def test_a_new_version_that_the_host_replaces_while_it_is_offered_or_downloaded_is_left_for_its_successor(
    site, host, opened, nano_artifact, tmp_path
) -> None:
    artifact = Path(shutil.copytree(nano_artifact, tmp_path / "artifact"))
    served = host(site)
    page = opened(served.url)
    download(page)
    running(page)
    first = Path(shutil.copytree(site, tmp_path / "first"))
    offered = page.locator(".newer").filter(has_text=re.compile("new version of the model|is being downloaded"))
    begin = page.get_by_role("button", name="Download", exact=True)
    newer(site, artifact)
    page.reload()
    offered.wait_for()
    shutil.rmtree(site)
    shutil.copytree(first, site)  # the host takes it back
    begin.click()
    offered.wait_for(state="detached")
    newer(site, artifact)
    page.reload()
    offered.wait_for()
    changed = newer(site, artifact, "nano-three")
    served.refuses.update(f"/pieces/{piece}.bin" for piece in changed)
    served.asked.clear()
    begin.click()
    for _ in range(3000):
        if served.refuses & set(served.asked):
            break
        page.wait_for_timeout(20)
    assert served.refuses & set(served.asked)
    changed = newer(site, artifact, "nano-four")
    served.refuses.clear()
    page.get_by_text("The new version of the model is here").wait_for()
    assert answers(page) == "4902"
    assert {f"/pieces/{piece}.bin" for piece in changed} <= set(served.asked)
    page.get_by_role("button", name="Use it now").click()
    page.locator(".top .name").filter(has_text="nano-four").wait_for()
    assert sorted(page.evaluate(KEPT)) == sorted(pieces_of(site))


def test_a_kept_model_that_is_damaged_after_the_host_replaced_it_makes_room_for_the_new_one(
    site, host, opened, nano_artifact, tmp_path
) -> None:
    page = opened(host(site).url)
    download(page)
    running(page)
    old = set(pieces_of(site))
    newer(site, Path(shutil.copytree(nano_artifact, tmp_path / "artifact")))
    (lost, *_) = old - set(pieces_of(site))
    page.evaluate(DAMAGE, lost)
    page.reload()
    page.locator(".top .name").filter(has_text="nano-two").wait_for()
    assert answers(page) == "4902"


# What the engine remembers of graphs: that each of them is wrong.
WRONG = """async () => {
  const done = (one, kind) => new Promise((end) => one.addEventListener(kind, () => end(one.result)));
  const database = await done(indexedDB.open("thinkport-engine"), "success");
  const changing = database.transaction("known", "readwrite");
  const known = changing.objectStore("known");
  const keys = await done(known.getAllKeys(), "success");
  const graphs = keys.filter((key) => key.startsWith("goldens "));
  for (const key of graphs) known.put('{"score":null,"fault":"its logits are noise"}', key);
  await done(changing, "complete");
  database.close();
  return graphs.length;
}"""


def test_a_kept_model_that_computes_wrongly_in_every_way_makes_room_for_what_the_host_has_by_then(
    site, host, opened, nano_artifact, tmp_path
) -> None:
    page = opened(host(site).url)
    download(page)
    running(page)
    assert page.evaluate(WRONG) == 1
    page.reload()
    fails(page, "its logits are noise")
    newer(site, Path(shutil.copytree(nano_artifact, tmp_path / "artifact")))
    page.get_by_role("button", name="Try again").click()
    page.locator(".top .name").filter(has_text="nano-two").wait_for()
    assert answers(page) == "4902"


def test_a_first_download_goes_on_with_the_site_that_replaced_its_own(
    site, host, opened, nano_artifact, tmp_path
) -> None:
    second = Path(shutil.copytree(site, tmp_path / "second"))
    newer(second, Path(shutil.copytree(nano_artifact, tmp_path / "artifact")))
    (gone, *_) = set(pieces_of(site)) - set(pieces_of(second))
    served = host(site)
    served.refuses.add(f"/pieces/{gone}.bin")
    page = opened(served.url)
    download(page)
    for _ in range(3000):
        if served.refuses & set(served.asked):
            break
        page.wait_for_timeout(20)
    came = page.evaluate(KEPT)
    shutil.rmtree(site)
    shutil.copytree(second, site)
    served.asked.clear()
    served.refuses.clear()
    page.locator(".top .name").filter(has_text="nano-two").wait_for()
    assert not {path for path in served.asked if path in {f"/pieces/{piece}.bin" for piece in came}}
    assert sorted(page.evaluate(KEPT)) == sorted(pieces_of(site))
    assert answers(page) == "4902"


# The worker that runs the model can't start, for as long as the tab says so.
FAILING = """(() => {
  const Real = Worker;
  const broken = URL.createObjectURL(new Blob(["throw new Error('out of memory')"], { type: "text/javascript" }));
  window.Worker = class extends Real {
    constructor(url, options) {
      super(sessionStorage.getItem("failing") && /engine_worker/.test(url) ? broken : url, options);
    }
  };
})()"""


def test_a_kept_model_that_failed_for_want_of_memory_runs_again_whatever_the_host_has_by_then(
    site, host, opened, nano_artifact, tmp_path
) -> None:
    served = host(site)
    page = opened(served.url, script=FAILING)
    download(page)
    running(page)
    name = page.locator(".top .name").inner_text()
    newer(site, Path(shutil.copytree(nano_artifact, tmp_path / "artifact")))
    page.evaluate("sessionStorage.setItem('failing', 'yes')")
    page.reload()
    fails(page, "out of memory")
    page.evaluate("sessionStorage.removeItem('failing')")
    (site / "site.json").unlink()  # the host is in the middle of its next upload
    served.asked.clear()
    page.get_by_role("button", name="Try again").click()
    running(page)
    assert page.locator(".top .name").inner_text() == name
    assert served.pieces == 0


def test_a_tab_that_takes_the_model_over_runs_the_version_that_is_kept_by_then(
    site, host, opened, nano_artifact, tmp_path
) -> None:
    served = host(site)
    first = opened(served.url)
    download(first)
    running(first)
    newer(site, Path(shutil.copytree(nano_artifact, tmp_path / "artifact")))
    first.reload()
    first.get_by_text("There is a new version of the model").wait_for()
    second = opened(served.url, first.context)
    second.get_by_role("heading", name="Open in another tab").wait_for()
    first.get_by_role("button", name="Download", exact=True).click()
    first.get_by_text("The new version of the model is here").wait_for()
    second.get_by_role("button", name="Use it here").click()
    second.locator(".top .name").filter(has_text="nano-two").wait_for()
    assert second.get_by_text("There is a new version of the model").count() == 0


def test_a_new_page_waits_for_the_old_ones_tabs_and_comes_at_once_for_the_only_one(
    site, host, opened, nano_artifact, tmp_path
) -> None:
    first = opened(host(site).url)
    kept_by_worker(first)
    first.wait_for_function("navigator.serviceWorker.controller !== null")
    newer(site, Path(shutil.copytree(nano_artifact, tmp_path / "artifact")))
    index = site / "index.html"
    index.write_text(index.read_text(encoding="utf-8").replace('<html lang="en">', '<html lang="en" id="new">'))
    second = opened(first.url, first.context)
    for page in (first, second):
        page.get_by_text("A new version of this page is here").wait_for()
    assert second.locator("#new").count() == 0
    second.get_by_role("button", name="Load the new page").click()
    second.get_by_text("Another tab shows this page").wait_for()
    second.reload()
    second.get_by_text("A new version of this page is here").wait_for()
    assert second.locator("#new").count() == 0
    download(first)
    running(first)
    assert answers(first) == "4902"
    second.close()
    shoot(first, "new-page")
    first.get_by_role("button", name="Load the new page").click()
    first.locator("#new").wait_for(state="attached")
    assert first.get_by_text("A new version of this page is here").count() == 0


def test_another_page_in_a_folder_of_the_site_is_the_hosts_own(site, host, opened) -> None:
    page = opened(host(site).url)
    kept_by_worker(page)
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    (site / "other").mkdir()
    (site / "other" / "index.html").write_text("<h1>Another page</h1>", encoding="utf-8")
    page.goto(f"{page.url}other/")
    page.get_by_role("heading", name="Another page").wait_for()


class Memory:
    """The most private memory, in bytes, that one of Chromium's pages took while this is entered, and with the GPU's
    process beside it.
    """

    def __init__(self) -> None:
        self.tab, self.with_gpu, self._over = 0, 0, Event()
        self._thread = Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            now = {"renderer": 0, "gpu-process": 0}
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    kind = next((word[7:] for word in process.cmdline() if word.startswith("--type=")), "")
                    if kind in now:
                        now[kind] = max(now[kind], process.memory_full_info().uss)
            self.tab = max(self.tab, now["renderer"])
            self.with_gpu = max(self.with_gpu, sum(now.values()))


@pytest.mark.parametrize(
    ("browser", "provider"),
    [("chromium", "wasm"), (f"chromium {GPU}", "webgpu")],
    indirect=["browser"],
    ids=["no GPU", "SwiftShader"],
)
def test_a_tab_takes_no_more_memory_than_it_says_before_the_download(
    nano_artifact, real_runtime, host, opened, provider, tmp_path
) -> None:
    artifact = Path(os.environ.get("THINKPORT_ARTIFACT", nano_artifact))  # another one, to measure it
    made = make_site(artifact, tmp_path / "site", SiteSettings(onnxruntime_web=real_runtime, context=2048))
    index = json.loads((made.path / "site.json").read_text(encoding="utf-8"))
    told = min(way["memory"] for way in index["ways"] if way["provider"] == provider and not way["float16"])
    page = opened(host(made.path).url)
    page.set_default_timeout(1_800_000)
    page.get_by_role("button", name=re.compile("^Download")).wait_for()
    if provider == "webgpu" and "WebGPU" not in page.locator("dl").inner_text():
        pytest.skip("Chromium gives no software adapter for WebGPU here")
    with Memory() as memory:
        download(page)
        page.locator(".top .where").filter(has_text=provider).wait_for(state="attached")
        page.get_by_label("Message", exact=True).fill("What is 86*57?")
        page.keyboard.press("Enter")
        page.locator(".thought, .answer").first.wait_for()  # a larger model's whole reply takes minutes
    weights = index["files"]["weights.bin"]["bytes"]
    found = f"{memory.tab / 1e6:.0f} MB, {memory.with_gpu / 1e6:.0f} MB with the GPU's process"
    print(f"{index['name']} ({provider}), {weights / 1e6:.0f} MB of weights: {found}, said {told / 1e6:.0f} MB")
    assert 0 < (memory.tab if provider == "wasm" else memory.with_gpu) < told


@IN_EACH
def test_on_a_host_without_headers_the_second_load_has_threads(site, host, opened) -> None:
    served = host(site, headers=False)
    page = opened(served.url)
    page.locator(".start").filter(has_text=re.compile(r"WebAssembly\), [2-4] threads")).wait_for()
    assert page.evaluate("crossOriginIsolated")
    download(page)
    running(page)
    assert answers(page) == "4902"


def test_in_a_folder_of_a_host_that_knows_no_types_and_packs_everything_it_runs(site, host, opened) -> None:
    served = host(site, headers=False, at="/x/y", plain=True)
    page = opened(served.url)
    page.locator(".start").filter(has_text=re.compile(r"WebAssembly\), [2-4] threads")).wait_for()
    download(page)
    running(page)
    assert answers(page) == "4902"
    assert all(path.startswith("/x/y/") for path in served.asked)
    kept_by_worker(page)
    page.context.set_offline(True)
    page.reload()
    running(page)


def test_without_headers_and_service_worker_there_is_one_thread_and_it_is_said(site, host, opened) -> None:
    served = host(site, headers=False)
    page = opened(served.url, service_workers="block")
    page.get_by_role("button", name=re.compile("^Download")).wait_for()
    assert "one thread: the host sends no headers that allow more" in text(page)
    download(page)
    running(page)
    assert answers(page) == "4902"


@IN_EACH
def test_an_insecure_address_is_refused_with_the_reason(site, host, opened) -> None:
    served = host(site)
    page = opened(served.url.replace("127.0.0.1", ELSEWHERE))
    fails(
        page, r"Browsers allow this over https or on the same machine only, and this page came from http://site\.test"
    )
    assert served.pieces == 0


def test_webkitgtk_which_gives_pages_no_files_is_refused_before_the_download(site, host, webkit) -> None:
    served = host(site)
    webkit.get(served.url)
    for _ in range(900):
        said = webkit.execute_script("return document.querySelector('.problem')?.textContent")
        if said:
            break
        sleep(0.1)
    assert said.startswith("This browser gives pages no place to keep a model in (OPFS)")
    assert webkit.execute_script("return document.querySelector('button') === null")
    assert served.pieces == 0


@pytest.mark.parametrize("browser", [f"chromium {GPU}"], indirect=True, ids=["SwiftShader"])
def test_webgpu_runs_the_float32_graph(site, host, opened) -> None:
    page = opened(host(site).url)
    page.get_by_role("button", name=re.compile("^Download")).wait_for()
    if "WebGPU" not in page.locator("dl").inner_text():
        pytest.skip("Chromium gives no software adapter for WebGPU here")
    assert "this GPU has no float16" in page.locator("details").inner_html()
    page.set_default_timeout(600_000)  # each golden prompt takes SwiftShader half a minute
    download(page)
    running(page, "webgpu-float32.onnx")
    page.get_by_role("switch", name="Think").click()
    answers(page)
    assert not {"cpu.onnx"} & set(page.locator(".top .where").inner_text().split())
