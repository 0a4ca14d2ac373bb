"""The chat page in WebKitGTK, the nearest to Safari that Linux has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.long
SECONDS = 90.0  # for what the page has to show
QUESTION = "What is 86*57?"


class Page:
    """The page in a window; `texts` and `press` take CSS selectors."""

    def __init__(self, driver: Any, url: str):
        self.driver = driver
        driver.set_window_size(1440, 900)
        driver.get(url)
        self.until(lambda: "cpu" in "".join(self.texts(".top .where")))

    def until(self, shown: Callable[[], object]) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, SECONDS).until(lambda _: shown())

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent.trim())"
        found: list[str] = self.driver.execute_script(script, selector)
        return found

    def press(self, selector: str) -> None:
        self.until(lambda: self.texts(selector))
        self.driver.find_element("css selector", selector).click()

    def send(self, text: str) -> None:
        self.until(lambda: self.texts(".top .where"))
        self.driver.find_element("css selector", ".composer textarea").send_keys(f"{text}\ue007")

    def ask(self, text: str, replies: int = 1) -> str:
        """The answer to a question, which is the so-manieth here."""
        self.send(text)
        self.until(lambda: len(self.texts(".reply[aria-busy=false]")) == replies)
        return self.texts(".answer")[-1]


@pytest.fixture
def page(webkit: Any, served: Any, page_built: None) -> Page:
    return Page(webkit, served.url)


def test_it_thinks_answers_goes_on_and_keeps_conversations_over_a_reload(page) -> None:
    assert page.ask(QUESTION) == "4902"
    assert re.fullmatch(r"Thought · \d+ tokens", page.texts(".thought .label")[0])
    page.press("[role=switch]")
    assert page.ask("What is 2*3?", 2)
    assert len(page.texts(".thought")) == 1
    figures = page.texts(".figures")
    assert re.search(r"prompt \d+, [1-9]\d* cached", figures[-1])
    page.driver.refresh()
    page.press(".entry .title")
    page.until(lambda: page.texts(".figures") == figures)
    assert page.texts(".answer")[0] == "4902"


@pytest.mark.parametrize(
    ("end", "told"),
    [(".answer-now", "closed by you"), (".stop", "Stopped."), (None, "The page was left in the middle")],
)
def test_a_reply_ends_by_answer_now_by_stop_and_by_leaving_the_page(serve, webkit, page_built, end, told) -> None:
    served = serve(max_rows=1)
    page = Page(webkit, served.url)
    served.slow_down(0.08)
    page.send(QUESTION)
    page.until(lambda: "=" in "".join(page.texts(".thought.live")))
    if end:
        page.press(end)
    else:
        page.driver.refresh()
        page.press(".entry .title")
    page.until(lambda: told in "".join(page.texts(".reply[aria-busy=false]")))
    assert served.idle()


def test_in_the_narrowest_window_nothing_overflows_and_the_choice_of_thoughts_has_one_frame(page) -> None:
    page.driver.set_window_size(390, 844)
    assert page.driver.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0
    drawn = "return getComputedStyle(document.querySelector('select.chip')).appearance"
    assert page.driver.execute_script(drawn) == "none"
