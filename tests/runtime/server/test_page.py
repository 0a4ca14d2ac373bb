"""The chat page in a real browser: Debian's Chromium, headless, driven by Playwright."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long
SHOTS = os.environ.get("THINKPORT_SCREENSHOTS")  # a folder to keep them in, to be looked at


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the page; requests to anywhere else, and errors of the script, fail the test."""
    pages, wrong = [], []

    def open_page(url: str, **options: Any) -> Any:
        page = browser.new_context(**options).new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(url) else None)
        page.goto(url)
        page.get_by_role("status").filter(has_text="cpu.onnx").wait_for()
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert not wrong


def shoot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


def ask(page: Any, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def figures(page: Any) -> Any:
    return page.locator(".figures").last


def test_a_question_is_thought_about_and_answered(served, opened) -> None:
    page = opened(served.url)
    shoot(page, "empty")
    ask(page, "What is 86*57?")
    figures(page).filter(has_text="natural").wait_for()
    assert page.locator(".answer").inner_text().strip() == "4902"
    thought = page.locator("details.thought")
    assert thought.get_attribute("open") is None
    thought.locator("summary").press("Enter")
    assert "6*7=42" in thought.inner_text()
    assert "tokens at" in figures(page).inner_text()
    shoot(page, "answered")


def test_thinking_can_be_switched_off_and_limited_from_the_keyboard(served, opened) -> None:
    page = opened(served.url)
    switch = page.get_by_role("switch", name="Think first")
    switch.focus()
    page.keyboard.press("Space")
    ask(page, "What is 86*57?")
    figures(page).filter(has_text="answer 4").wait_for()
    assert page.locator("details.thought").is_hidden()
    switch.check()
    slider = page.get_by_role("slider", name="Budget")
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "8 tokens"
    ask(page, "What is 86*57?")
    figures(page).filter(has_text="thought 8 tokens").filter(has_text="budget").wait_for()


def test_answer_now_closes_the_thought(serve, opened) -> None:
    served = serve(parallel=1)
    page = opened(served.url, color_scheme="dark")
    served.slow_down(0.05)
    ask(page, "What is 86*57?")
    button = page.get_by_role("button", name="Stop thinking, answer now")
    button.wait_for()
    page.locator(".thought .said").filter(has_text="=").wait_for()
    shoot(page, "thinking-dark")
    button.click()
    figures(page).filter(has_text="user").wait_for()
    assert button.is_hidden()
    shoot(page, "stopped-thinking-dark")


def test_stop_ends_the_reply_and_frees_its_place(serve, opened) -> None:
    served = serve(parallel=1)
    page = opened(served.url)
    served.slow_down(0.05)
    ask(page, "What is 86*57?")
    page.locator(".thought .said").filter(has_text="=").wait_for()
    page.keyboard.press("Escape")
    figures(page).filter(has_text="stopped").wait_for()
    assert served.idle()
    assert page.get_by_role("button", name="Send").is_visible()


def test_a_conversation_outlives_a_reload_and_its_words_are_never_markup(served, opened) -> None:
    page = opened(served.url)
    ask(page, "<img src=x onerror=alert(1)> 2*3")
    figures(page).filter(has_text="answer").wait_for()
    page.reload()
    page.locator(".turn.user").wait_for()
    assert "<img src=x" in page.locator(".turn.user").inner_text()
    assert not page.locator(".turn img").count()
    ask(page, "What is 2*3?")
    figures(page).filter(has_text="cached").wait_for()
    page.get_by_role("button", name="New chat").click()
    assert not page.locator(".turn").count()


def test_a_lost_connection_is_said_and_comes_back(serve, opened) -> None:
    served = serve(parallel=1)
    page = opened(served.url)
    page.context.set_offline(True)
    ask(page, "What is 2*3?")
    figures(page).filter(has_text="connection was lost").wait_for()
    page.get_by_role("status").filter(has_text="no connection").wait_for()
    assert page.get_by_label("Message", exact=True).input_value() == "What is 2*3?"
    shoot(page, "offline")
    page.context.set_offline(False)
    page.get_by_role("status").filter(has_text="cpu.onnx").wait_for()
    page.get_by_label("Message", exact=True).press("Enter")
    figures(page).filter(has_text="answer").wait_for()


def test_the_key_is_asked_for_where_one_is_needed(serve, opened) -> None:
    key = "a-key-of-some-length"
    page = opened(serve(api_key=key).url)
    ask(page, "What is 2*3?")
    page.get_by_label("This server wants its API key").fill(key)
    page.keyboard.press("Enter")
    page.get_by_label("Message", exact=True).press("Enter")
    figures(page).filter(has_text="answer").wait_for()


def test_it_fits_a_narrow_window(served, opened) -> None:
    page = opened(served.url, viewport={"width": 360, "height": 640})
    ask(page, "What is 86*57?")
    figures(page).filter(has_text="natural").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shoot(page, "narrow")


def test_everything_that_can_be_used_has_a_name(served, opened) -> None:
    page = opened(served.url)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, textarea")].filter((one) => {
             const label = one.labels?.[0]?.textContent || one.textContent || one.getAttribute("aria-label");
             return !label?.trim();
           }).map((one) => one.id)"""
    )
    assert not nameless
