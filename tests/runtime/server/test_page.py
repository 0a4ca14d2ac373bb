"""The chat page in real browsers: Debian's Chromium and, where engines may differ, its Firefox."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browsers import IN_EACH

from thinkport.runtime import Model, Thinking

SHOTS = os.environ.get("THINKPORT_SCREENSHOTS")  # a folder to keep them in, to be looked at
ROOT = Path(__file__).parents[3]
AXE = ROOT / "deploy" / "web" / "node_modules" / "axe-core" / "axe.min.js"
QUESTION = "What is 86*57?"
MARKDOWN = """# A heading

Some **bold**, `code` and a [link](https://example.com). Not <b>bold</b> ![picture](https://example.com/x.png)
[script](javascript:alert(1))

```python
def greet(name: str) -> str:
    return f"Hello, {name}"  # a comment
```

- one
- two with $e^{i\\pi} = -1$

| name | value |
|---|---:|
| a | 1 |

$$\\int_0^1 x^2 \\, dx = \\frac{1}{3}$$

<script>document.title = "taken over"</script><img src=x onerror="document.title='taken over'">
"""


@pytest.fixture
def opened(browser: Any, page_built: None) -> Iterator[Callable[..., Any]]:
    """Opens the page. Requests to anywhere else, errors of the script and breaches of its policy fail the test."""
    pages, wrong = [], []

    def listen(page: Any, url: str) -> None:
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda told: wrong.append(told.text) if "Content Security" in told.text else None)
        page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith((url, "blob:")) else None)

    def open_page(url: str, *, wait: bool = True, script: str | None = None, **options: Any) -> Any:
        page = browser.new_context(**options).new_page()
        if script is not None:
            page.add_init_script(script)
        page.set_default_timeout(60_000)
        listen(page, url)
        page.goto(url)
        if wait:
            page.locator(".top .where").filter(has_text="cpu.onnx").wait_for(state="attached")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert not wrong


def shoot(page: Any, name: str) -> None:
    if SHOTS:
        page.wait_for_timeout(300)
        page.screenshot(path=f"{SHOTS}/{name}.png")


def box(page: Any) -> Any:
    return page.get_by_label("Message", exact=True)


def ask(page: Any, text: str = QUESTION) -> None:
    box(page).fill(text)
    box(page).press("Enter")


def figures(page: Any) -> Any:
    return page.locator(".figures").last


def finished(page: Any, replies: int = 1) -> None:
    page.locator(".reply[aria-busy=false]").nth(replies - 1).wait_for()


def thinking_shows(page: Any) -> None:
    page.locator(".thought.live").filter(has_text="=").wait_for()


def at_end(page: Any) -> None:
    left = "(one) => one.scrollHeight - one.scrollTop - one.clientHeight"
    page.wait_for_function(f"({left})(document.querySelector('.thread')) < 2")


def replying(page: Any, text: str, *, status: int = 200) -> None:
    """Have the server reply with this text, whatever it is asked."""
    frames: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}]
    ending = {"enabled": "off", "end": "off", "tokens": 0, "answer_end": "stop"}
    frames.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "thinking": ending}], "timings": {}})
    body = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames)
    kind = "text/event-stream"
    page.route("**/v1/chat/completions", lambda route: route.fulfill(status=status, body=body, content_type=kind))


def test_a_question_is_thought_about_and_answered(served, opened) -> None:
    page = opened(served.url)
    shoot(page, "empty")
    ask(page)
    finished(page)
    assert page.locator(".answer").inner_text().strip() == "4902"
    fold = page.locator(".thought .fold")
    assert fold.get_attribute("aria-expanded") == "false"
    fold.press("Enter")
    assert "6*7=42" in page.locator(".thought").inner_text()
    assert re.search(r"\d+ tokens at [\d.]+/s · thought \d+ at .*prompt \d+", figures(page).inner_text())
    shoot(page, "answered")


@IN_EACH
@pytest.mark.long
def test_thinking_can_be_switched_off_and_limited_from_the_keyboard(served, opened) -> None:
    page = opened(served.url)
    switch = page.get_by_role("switch", name="Think")
    switch.focus()
    page.keyboard.press("Space")
    assert switch.get_attribute("aria-checked") == "false"
    ask(page)
    finished(page)
    assert not page.locator(".thought").count()
    switch.press("Space")
    page.get_by_role("button", name="Thinking budget: No limit").press("Enter")
    slider = page.get_by_role("slider", name="Budget")
    slider.press("Home")
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "64 tokens"
    shoot(page, "budget")
    box(page).focus()
    with page.expect_response("**/health"):
        page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(300)  # what the server says is drawn, and takes the focus from nobody
    assert page.evaluate("document.activeElement.id") == "message"
    page.keyboard.press("Escape")
    served.slow_down(0.03)
    ask(page)
    bar = page.get_by_role("progressbar", name="Thinking budget")
    bar.wait_for()
    assert bar.get_attribute("aria-valuemax") == "64"
    assert re.search(r"Thinking · \d+ of 64 tokens", page.locator(".thought").inner_text())
    shoot(page, "thinking-budget")
    finished(page, 2)
    served.slow_down(0)


@pytest.mark.long
def test_the_page_begins_as_the_server_was_told_to_think(nano_artifact, serve_model, opened) -> None:
    for thinking, on, budget in ((Thinking(enabled=False), "false", None), (Thinking(budget=20), "true", "20 tokens")):
        with Model.load(nano_artifact, kernels="off", thinking=thinking) as model:
            page = opened(serve_model(model).url)
            switch = page.get_by_role("switch", name="Think")
            assert switch.get_attribute("aria-checked") == on
            if budget:
                page.get_by_role("button", name=f"Thinking budget: {budget}").wait_for()
            ask(page)
            finished(page)
            shown = page.locator(".thought .label")
            assert shown.count() == (on == "true")
            if budget:
                assert "20 tokens · cut at its budget" in shown.inner_text()
            switch.click()
            page.get_by_role("button", name="New chat").first.click()
            assert switch.get_attribute("aria-checked") == on


@IN_EACH
@pytest.mark.long
def test_answer_now_closes_the_thought(serve, opened) -> None:
    served = serve(max_rows=1)
    page = opened(served.url, color_scheme="dark")
    served.slow_down(0.05)
    ask(page)
    thinking_shows(page)
    shoot(page, "thinking-dark")
    button = page.get_by_role("button", name="Answer now")
    button.click()
    finished(page)
    assert "closed by you" in page.locator(".thought").inner_text()
    assert not button.count()


@pytest.mark.long
@pytest.mark.parametrize("key", ["Escape", None])
def test_stop_ends_the_reply_keeps_its_figures_and_frees_its_place(serve, opened, key) -> None:
    served = serve(max_rows=1)
    page = opened(served.url)
    served.slow_down(0.05)
    ask(page)
    thinking_shows(page)
    if key:
        page.keyboard.press(key)
    else:
        page.get_by_role("button", name="Stop").click()
    finished(page)
    assert served.idle()
    assert "Stopped." in page.locator(".reply").inner_text()
    assert re.search(r"no answer · thought \d+ at .*prompt \d+", figures(page).inner_text())
    assert page.get_by_role("button", name="Send").is_visible()


@pytest.mark.long
def test_on_a_page_made_narrow_the_list_goes_and_the_composer_is_one_row_while_it_writes(serve, opened) -> None:
    served = serve(max_rows=1)
    page = opened(served.url, viewport={"width": 1440, "height": 800})
    page.get_by_role("navigation", name="Conversations").wait_for()
    page.set_viewport_size({"width": 320, "height": 640})
    page.get_by_role("navigation", name="Conversations").wait_for(state="detached")
    served.slow_down(0.05)
    ask(page)
    thinking_shows(page)
    row = page.locator(".composer .row")
    assert row.bounding_box()["height"] < 50
    page.get_by_role("button", name="Answer now").click()
    served.slow_down(0)
    finished(page)
    at_end(page)
    page.get_by_role("switch", name="Think").wait_for()


@pytest.mark.long
def test_enter_begins_a_line_on_a_touch_screen(served, opened) -> None:
    page = opened(served.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    replying(page, "Read.")
    ask(page, "one")
    box(page).press_sequentially("two")
    assert box(page).input_value() == "one\ntwo"
    page.get_by_role("button", name="Send").click()
    finished(page)
    assert page.locator(".question .said").inner_text() == "one\ntwo"


@pytest.mark.long
def test_a_new_chat_during_an_answer_leaves_the_old_one_to_its_conversation(serve, opened) -> None:
    served = serve(max_rows=2)
    page = opened(served.url)
    served.slow_down(0.03)
    ask(page)
    thinking_shows(page)
    page.keyboard.press("Control+Shift+O")
    assert not page.locator(".turn").count()
    box(page).fill("unsent")
    page.get_by_role("img", name="a reply is being written").wait_for(state="detached")
    assert not page.locator(".turn").count()
    assert box(page).input_value() == "unsent"
    asked: list[Any] = []
    page.on("request", lambda one: asked.append(one.post_data_json) if one.method == "POST" else None)
    ask(page, "What is 2*3?")
    finished(page)
    assert [message["content"] for message in asked[0]["messages"]] == ["What is 2*3?"]
    page.get_by_role("button", name=QUESTION, exact=True).click()
    finished(page)
    assert page.locator(".answer").inner_text().strip() == "4902"


@IN_EACH
@pytest.mark.long
def test_a_conversation_outlives_a_reload_with_the_length_of_its_thought(served, opened) -> None:
    page = opened(served.url)
    ask(page)
    finished(page)
    before = page.locator(".thought .label").inner_text()
    assert re.fullmatch(r"Thought · \d+ tokens", before)
    shown = figures(page).inner_text()
    page.reload()
    page.get_by_role("button", name=QUESTION, exact=True).click()
    assert page.locator(".thought .label").inner_text() == before
    assert figures(page).inner_text() == shown
    ask(page, "What is 2*3?")
    finished(page, 2)
    assert re.search(r"prompt \d+, [1-9]\d* cached", figures(page).inner_text())


@IN_EACH
@pytest.mark.long
def test_a_reload_in_the_middle_of_a_reply_keeps_what_came(serve, opened) -> None:
    served = serve(max_rows=1)
    page = opened(served.url)
    served.slow_down(0.08)
    ask(page)
    thinking_shows(page)
    page.wait_for_timeout(1500)
    page.reload()
    page.get_by_role("button", name=QUESTION, exact=True).click()
    page.get_by_text("The page was left in the middle of this reply.").wait_for()
    assert page.locator(".thought").is_visible()
    assert served.idle()


@pytest.mark.long
def test_a_reply_that_fails_leaves_the_box_alone_and_is_told_where_it_is_seen(served, opened) -> None:
    page = opened(served.url, viewport={"width": 800, "height": 500})
    replying(page, "word\n\n" * 80)
    ask(page)
    finished(page)
    page.unroute("**/v1/chat/completions")
    page.locator(".thread").evaluate("one => one.scrollTop = 0")
    page.context.set_offline(True)
    ask(page, "What is 2*3?")
    box(page).fill("what I write meanwhile")
    alert = page.get_by_role("alert")
    alert.filter(has_text="can't be reached").wait_for()
    page.locator(".thread").evaluate("one => one.scrollTop = 0")
    assert alert.evaluate(
        "one => { const at = one.getBoundingClientRect(); return at.top >= 0 && at.bottom <= innerHeight }"
    )
    assert box(page).input_value() == "what I write meanwhile"
    page.locator(".top .bad .where").filter(has_text="no connection").wait_for()
    shoot(page, "offline")
    page.context.set_offline(False)
    page.evaluate("dispatchEvent(new Event('online'))")
    alert.get_by_role("button", name="Try again").click()
    finished(page, 2)
    assert box(page).input_value() == "what I write meanwhile"
    assert not alert.count()


@pytest.mark.long
def test_a_fault_of_the_page_is_no_lost_connection(served, opened) -> None:
    page = opened(served.url)
    page.route("**/v1/chat/completions", lambda route: route.fulfill(body="data: {oops\n\n"))
    ask(page)
    told = page.get_by_role("alert")
    told.filter(has_text="The page has a fault").wait_for()
    assert "connection" not in told.inner_text()


@pytest.mark.long
def test_an_error_of_the_server_is_told_in_its_words(served, opened) -> None:
    page = opened(served.url)
    ask(page, "many words " * 6000)
    page.get_by_role("alert").filter(has_text="tokens").wait_for()
    shoot(page, "error")


@IN_EACH
@pytest.mark.long
def test_the_key_is_asked_for_first_and_a_wrong_one_is_told(serve, opened) -> None:
    key = "a-key-of-some-length"
    served = serve(api_key=key)
    page = opened(served.url, wait=False)
    field = page.get_by_label("API key")
    field.fill("wrong-key-of-some-length")
    shoot(page, "key")
    field.press("Enter")
    page.get_by_role("alert").filter(has_text="not this server's key").wait_for()
    field.fill(key)
    field.press("Enter")
    page.get_by_role("dialog").wait_for(state="detached")
    assert not page.locator(".turn").count()
    ask(page)
    finished(page)
    page.reload()
    ask(page)
    finished(page)


@pytest.mark.long
def test_unfolding_a_thought_leaves_its_question_where_it_is(served, opened) -> None:
    page = opened(served.url, viewport={"width": 800, "height": 420})
    ask(page)
    finished(page)
    fold = page.locator(".thought .fold")
    question = page.locator(".question .said")
    question.scroll_into_view_if_needed()
    before = question.bounding_box()
    fold.click()
    page.wait_for_timeout(400)
    assert question.bounding_box() == before


@pytest.mark.long
def test_what_is_asked_shows_at_the_end_after_a_click_and_from_further_up(served, opened) -> None:
    page = opened(served.url, viewport={"width": 800, "height": 900})
    replying(page, "Short.")
    ask(page)
    finished(page)
    page.locator(".answer").click()
    replying(page, "word\n\n" * 80)
    page.get_by_role("button", name="Ask again").click()
    page.locator(".answer").filter(has_text="word").wait_for()
    at_end(page)
    page.locator(".thread").evaluate("one => one.scrollTop = 0")
    page.get_by_role("button", name="Go to the end").wait_for()
    page.route("**/v1/chat/completions", lambda route: None)  # a long prompt
    ask(page, "And now?")
    page.get_by_text("Reading the question").wait_for()
    at_end(page)


@IN_EACH
@pytest.mark.long
def test_markdown_is_drawn_and_can_neither_run_nor_load_anything(served, opened) -> None:
    page = opened(served.url, viewport={"width": 900, "height": 400})
    replying(page, MARKDOWN)
    ask(page)
    finished(page)
    answer = page.locator(".answer")
    answer.locator(".hljs-keyword").first.wait_for()
    answer.locator(".formula.display .katex").wait_for()
    at_end(page)  # though code and formulas are drawn after their text
    page.set_viewport_size({"width": 900, "height": 1200})
    assert answer.locator(".formula .katex").count() == 2
    assert answer.locator("h3").inner_text() == "A heading"
    assert answer.locator("td").all_inner_texts() == ["a", "1"]
    assert answer.locator("img, script, b").count() == 0
    assert "<b>bold</b>" in answer.inner_text()
    assert answer.locator("a").evaluate_all("all => all.map(one => [one.href, one.target, one.rel])") == [
        ["https://example.com/", "_blank", "noopener noreferrer nofollow"],
        ["https://example.com/x.png", "_blank", "noopener noreferrer nofollow"],
    ]
    assert page.title() == "nano · thinkport"
    shoot(page, "markdown")
    page.emulate_media(color_scheme="dark")
    shoot(page, "markdown-dark")


@pytest.mark.long
@pytest.mark.parametrize("secure", [True, False])
def test_code_and_answers_are_copied_with_and_without_the_clipboards_interface(served, opened, secure) -> None:
    page = opened(served.url)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    if not secure:
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('insecure')) }")
    replying(page, MARKDOWN)
    ask(page)
    finished(page)
    page.get_by_role("button", name="Copy the code").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("def greet(name: str)")


@pytest.mark.long
def test_editing_and_asking_again_keep_what_was_there(served, opened) -> None:
    page = opened(served.url)
    ask(page, "What is 2*3?")
    finished(page)
    first = page.locator(".answer").inner_text()
    page.get_by_role("button", name="Edit the question").click()
    page.keyboard.press("Escape")
    page.locator("button[aria-label='Edit the question']:focus").wait_for()
    page.get_by_role("button", name="Edit the question").click()
    page.get_by_role("textbox", name="Edit the question").fill("What is 2*4?")
    page.keyboard.press("Enter")
    page.locator(".question .versions").filter(has_text="2 / 2").wait_for()
    finished(page)
    assert page.locator(".question .said").inner_text() == "What is 2*4?"
    page.get_by_role("button", name="Ask again").click()
    page.locator(".reply .versions").filter(has_text="2 / 2").wait_for()
    page.locator(".question").get_by_role("button", name="Earlier version").click()
    assert page.locator(".question .said").inner_text() == "What is 2*3?"
    assert page.locator(".answer").inner_text() == first


@pytest.mark.long
def test_conversations_are_found_exported_deleted_and_brought_back(served, opened, tmp_path) -> None:
    page = opened(served.url)
    for question in ("What is 2*3?", "What is 5*5?"):
        page.get_by_role("button", name="New chat").first.click()
        ask(page, question)
        finished(page)
    entries = page.locator(".entry .title")
    assert entries.all_inner_texts() == ["What is 5*5?", "What is 2*3?"]
    page.get_by_label("Search conversations").fill("is 5*5")
    assert entries.all_inner_texts() == ["What is 5*5?"]
    page.locator(".entry").hover()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export What is 5*5?").click()
    download.value.save_as(tmp_path / "said.md")
    assert download.value.suggested_filename == "What-is-5-5.md"
    text = (tmp_path / "said.md").read_text(encoding="utf-8")
    assert text.startswith("# What is 5*5?\n\n## You\n\nWhat is 5*5?\n\n## Model\n\n>")
    page.get_by_role("button", name="Delete What is 5*5?").click()
    page.get_by_label("Search conversations").fill("")
    assert entries.all_inner_texts() == ["What is 2*3?"]
    page.get_by_role("button", name="Undo").click()
    assert entries.all_inner_texts() == ["What is 5*5?", "What is 2*3?"]
    page.reload()
    page.locator(".entry").nth(1).wait_for()
    assert entries.all_inner_texts() == ["What is 5*5?", "What is 2*3?"]
    page.get_by_role("button", name="Delete What is 2*3?").press("Enter")
    page.locator(".undo button:focus").wait_for()


DENIED = """for (const name of ["sessionStorage", "localStorage", "indexedDB"])
  Object.defineProperty(window, name, { get() { throw new DOMException("The user denied it.", "SecurityError"); } });"""


@pytest.mark.long
def test_a_browser_that_denies_its_stores_gets_a_page_that_says_what_is_not_kept(served, opened) -> None:
    page = opened(served.url, script=DENIED, viewport={"width": 1440, "height": 900})
    page.get_by_role("alert").filter(has_text="this browser keeps nothing for this page").wait_for()
    ask(page)
    finished(page)
    assert page.locator(".answer").inner_text().strip() == "4902"


PUT = """async (records) => {
  const opening = indexedDB.open("thinkport", 1);
  await new Promise((resolve) => (opening.onsuccess = resolve));
  const writing = opening.result.transaction("conversations", "readwrite");
  for (const one of records) writing.objectStore("conversations").put(one);
  await new Promise((resolve) => (writing.oncomplete = resolve));
  opening.result.close();
}"""


def conversation(messages: int, text: str) -> dict[str, Any]:
    """One as the page keeps it, of the future too: clocks go back."""
    empty: dict[str, Any] = {"state": "done", "thought": None, "figures": None, "answerEnd": None, "problem": None}
    said = [
        {"id": f"m{at}", "parent": f"m{at - 1}" if at else None, "role": ("user", "assistant")[at % 2], "text": text}
        for at in range(messages)
    ]
    kept: dict[str, Any] = {
        "id": "long",
        "title": "A long one",
        "changed": 4e12,
        "system": "",
        "thinking": None,
        "sampling": {},
    }
    return kept | {"leaf": f"m{messages - 1}", "messages": [{"at": 4e12} | empty | one for one in said]}


@pytest.mark.long
def test_a_conversation_of_5000_messages_opens_and_goes_on_beside_records_that_are_none(served, opened) -> None:
    page = opened(served.url, viewport={"width": 1440, "height": 900})
    odd = [{"id": "odd"}, {"id": "null", "title": None, "system": "", "messages": [None]}]
    page.evaluate(PUT, [conversation(5000, "Some **bold** text, `code` and\n\n- a list\n- of two"), *odd])
    page.reload()
    page.get_by_role("alert").filter(has_text="2 of 3 kept conversations can't be read").wait_for()
    page.get_by_role("button", name="A long one", exact=True).click()
    page.locator(".reply").nth(2499).wait_for()
    replying(page, "It goes on.")
    ask(page, "And now?")
    page.locator(".answer").filter(has_text="It goes on.").wait_for()


@pytest.mark.long
def test_a_text_of_2_mb_is_pasted_and_refused_in_the_servers_words(served, opened) -> None:
    page = opened(served.url)
    ask(page, "many words " * 190_000)
    page.get_by_role("alert").filter(has_text=re.compile("maximum context|too l(arge|ong)|at most")).wait_for()
    page.get_by_role("button", name="New chat").first.click()
    ask(page)
    page.locator(".answer").filter(has_text="4902").wait_for()


HOSTILE = """[a](javascript:alert(1)) [b](JaVaScRiPt&colon;alert(1)) <javascript:alert(1)>
[c](data:text/html,<script>1</script>)
[d](//evil.example/x) [e](vbscript:x) ![f](http://evil.example/x.svg) [g]: javascript:alert(1)

<svg onload="document.title='taken over'"><a xlink:href="javascript:alert(1)">x</a></svg>
<iframe srcdoc="<script>parent.document.title='taken over'</script>"></iframe><style>* { display: none }</style>
<form action="http://evil.example"><button>Send</button></form><meta http-equiv="refresh" content="0;url=http://evil.example">

$\\href{javascript:alert(1)}{x}$ $\\includegraphics{http://evil.example/x.png}$ $\\htmlStyle{display:none}{y}$

| <img src=x onerror="document.title='taken over'"> | `<b>` |
|---|---|
| [h](  javascript:alert(1)) | \u202e reversed |

```html"><script>document.title='taken over'</script>
<script>document.title = "taken over"</script>
```
"""


@pytest.mark.long
def test_what_a_hostile_model_writes_stays_text(served, opened) -> None:
    page = opened(served.url)
    replying(page, HOSTILE)
    ask(page)
    finished(page)
    answer = page.locator(".answer")
    answer.get_by_text("reversed").wait_for()
    page.wait_for_function("document.querySelectorAll('.answer .code').length === 1")
    made = answer.evaluate("(all) => [...all.querySelectorAll('*')].map((one) => one.localName)")
    assert not {"script", "iframe", "style", "form", "meta", "img", "object", "embed", "base"} & set(made)
    links = answer.evaluate("(all) => [...all.querySelectorAll('[href], [src], [action]')].map((one) => one.outerHTML)")
    assert all(re.match(r'<a href="http://evil\.example/x\.svg"', link) for link in links), links
    handlers = answer.evaluate(
        "(all) => [...all.querySelectorAll('*')].flatMap((one) => [...one.attributes]"
        ".filter(({ name }) => name.startsWith('on')).map(({ name }) => name))"
    )
    assert handlers == []
    assert page.title() != "taken over"


@pytest.mark.long
def test_settings_reach_the_server_and_a_value_out_of_range_does_not(served, opened) -> None:
    page = opened(served.url)
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("System prompt").fill("Be short.")
    page.get_by_text("Sampling", exact=True).click()
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("Top k").fill("5000")
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Seed").press("Tab")
    assert page.get_by_label("Temperature").get_attribute("placeholder") not in (None, "none")
    shoot(page, "settings")
    page.get_by_role("button", name="Close settings").click()
    with page.expect_request("**/v1/chat/completions") as asked:
        ask(page, "What is 2*3?")
    body = asked.value.post_data_json
    assert body["messages"][0] == {"role": "system", "content": "Be short."}
    assert (body["temperature"], body["seed"], "top_k" in body) == (0.5, 7, False)
    finished(page)


@pytest.mark.long
def test_two_tabs_show_the_same_conversations(served, opened) -> None:
    page = opened(served.url)
    other = page.context.new_page()
    other.goto(served.url)
    ask(page, "What is 2*3?")
    finished(page)
    other.get_by_role("button", name="What is 2*3?", exact=True).click()
    assert other.locator(".answer").inner_text() == page.locator(".answer").inner_text()


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_it_fits_every_width(served, opened, width, scheme) -> None:
    height = 640 if width < 768 else 900
    page = opened(served.url, viewport={"width": width, "height": height}, color_scheme=scheme)
    shoot(page, f"first-{width}-{scheme}")
    top = page.locator(".thread").bounding_box()["y"]
    assert page.get_by_role("heading", name="Ask, and watch it think").bounding_box()["y"] >= top
    page.get_by_role("button", name="Thinking budget: No limit").click()
    slider = page.get_by_role("slider", name="Budget").bounding_box()
    assert slider["x"] >= 0
    assert slider["x"] + slider["width"] <= width
    shoot(page, f"budget-{width}-{scheme}")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.ariaLabel") == "Thinking budget: No limit"
    replying(page, MARKDOWN)
    ask(page, "Show me what you can write. " * 6)
    finished(page)
    page.locator(".formula.display .katex").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".thread").evaluate("one => one.scrollWidth <= one.clientWidth")
    room = page.locator(".thread").bounding_box()["height"]
    assert room >= 0.6 * height
    shoot(page, f"answer-{width}-{scheme}")
    page.locator(".thread").evaluate("one => one.scrollTop = 0")
    shoot(page, f"top-{width}-{scheme}")
    if width < 768:
        page.get_by_role("button", name="Show conversations").click()
        page.get_by_label("Search conversations").wait_for()
        shoot(page, f"list-{width}-{scheme}")
    page.mouse.move(width - 5, 5)
    assert page.locator(".list").evaluate("one => one.scrollWidth <= one.clientWidth")


SMALL = """[...document.querySelectorAll("button, select, summary, input:not([type=range])")].flatMap((one) => {
  const { width, height } = one.getBoundingClientRect();
  const small = width > 1 && Math.min(width, height) < 43.9;
  return small ? [`${one.ariaLabel ?? one.innerText}: ${width} by ${height}`] : [];
})"""


@pytest.mark.long
def test_what_a_finger_presses_is_44_pixels_wide_and_high(served, opened) -> None:
    page = opened(served.url, viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
    replying(page, MARKDOWN)
    box(page).fill("What is 2*3?")
    page.get_by_role("button", name="Send").tap()
    finished(page)
    page.get_by_role("button", name="Ask again").tap()
    page.locator(".reply .versions").filter(has_text="2 / 2").wait_for()
    finished(page)
    assert page.evaluate(SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Show conversations").tap()
    page.locator(".entry").wait_for()
    assert page.evaluate(SMALL) == []
    page.locator(".entry .title").tap()
    page.get_by_role("button", name="Settings").tap()
    page.get_by_text("Sampling", exact=True).tap()
    assert page.evaluate(SMALL) == []


@IN_EACH
@pytest.mark.long
def test_a_page_that_cannot_begin_says_so(served, opened) -> None:
    page = opened(served.url)
    page.goto(f"{served.url}/?window")  # as if this server were a window's
    page.get_by_role("alert").filter(has_text="The page can't begin: there is no such path. Load it again.").wait_for()


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong(served, opened, scheme) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci in deploy/web")
    page = opened(served.url, color_scheme=scheme)

    def check() -> None:
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []

    check()
    replying(page, MARKDOWN)
    ask(page)
    finished(page)
    page.locator(".formula.display .katex").wait_for()
    check()
    page.get_by_role("button", name="Thinking budget: No limit").click()
    check()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Settings").click()
    page.get_by_text("Sampling", exact=True).click()
    check()


@pytest.mark.long
def test_right_to_left_text_runs_so(served, opened) -> None:
    page = opened(served.url)
    replying(page, "مرحبا بالعالم\n\nHello, world")
    ask(page, "שלום")
    finished(page)
    directions = page.locator(".answer p").evaluate_all("all => all.map(one => getComputedStyle(one).direction)")
    assert directions == ["rtl", "ltr"]
    assert page.locator(".question .said").evaluate("one => getComputedStyle(one).direction") == "rtl"
    page.get_by_role("button", name="New chat").first.click()
    replying(page, "- بند\n  - one\n\n> اقتباس\n\n| الاسم | b |\n|---|---|\n| 1 | 2 |\n\n1. one\n2. שתיים")
    ask(page, "Lists")
    finished(page)
    blocks = page.locator(".answer :is(ul, ol, blockquote, table)")
    assert blocks.evaluate_all("all => all.map(one => getComputedStyle(one).direction)") == [
        *("rtl", "ltr"),
        *("rtl", "rtl"),
        "ltr",
    ]
    inside = "all => all.every(one => one.offsetWidth < one.parentElement.clientWidth - 8)"
    assert page.locator(".answer li").evaluate_all(inside)  # their marks lie in the list


@pytest.mark.long
def test_the_first_load_is_small(served, opened) -> None:
    page = opened(served.url, wait=False)
    page.get_by_role("heading", name="Ask, and watch it think").wait_for()
    sizes = page.evaluate(
        "Object.fromEntries(performance.getEntriesByType('resource')"
        ".map(one => [one.name.split('/').pop(), one.encodedBodySize]))"
    )
    print(sizes)
    assert sum(sizes.values()) <= 70_000
