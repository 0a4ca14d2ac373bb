"""Chat programs that nobody here wrote, which take any address that speaks OpenAI's interface."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.long
GRADIO = """
import sys, gradio
gradio.load_chat(sys.argv[1] + "/v1", model="nano", token="any").launch(server_port=int(sys.argv[2]), quiet=True)
"""
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def gradio(served: Any, tmp_path: Path) -> Iterator[str]:
    """Gradio's chat page over the server: its address."""
    pytest.importorskip("gradio", reason="gradio is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "gradio.log"
    with log.open("w") as said:
        program = subprocess.Popen(
            [sys.executable, "-c", GRADIO, served.url, str(port)], env=os.environ | QUIET, stdout=said, stderr=said
        )
    url, until = f"http://127.0.0.1:{port}", monotonic() + 300
    try:
        while True:
            try:
                httpx.get(url)
                break
            except httpx.TransportError:
                assert program.poll() is None, log.read_text()
                assert monotonic() < until, log.read_text()
                sleep(0.3)
        yield url
    finally:
        program.terminate()
        program.wait(120)


def test_gradios_chat_page_shows_a_streamed_answer(gradio: str, browser: Any) -> None:
    page = browser.new_page()
    page.goto(gradio, wait_until="domcontentloaded")
    for question, answer in (("What is 86*57?", "4902"), ("What is 12*34?", "408")):
        page.locator("textarea").first.fill(question)
        page.keyboard.press("Enter")
        page.get_by_test_id("bot").last.filter(has_text=answer).wait_for()
    assert page.get_by_test_id("bot").count() == 2
    page.close()


def test_the_llm_program_answers_lists_and_goes_on(served: Any, tmp_path: Path) -> None:
    pytest.importorskip("llm", reason="llm is not installed")
    entry = f"- model_id: local\n  model_name: nano\n  api_base: {served.url}/v1\n"
    (tmp_path / "extra-openai-models.yaml").write_text(entry)

    def llm(*words: str) -> str:
        command, environment = [sys.executable, "-m", "llm", *words], os.environ | {"LLM_USER_PATH": str(tmp_path)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert "local" in llm("models")
    assert llm("-m", "local", "--key", "any", "What is 86*57?").strip() == "4902"
    assert llm("-m", "local", "--key", "any", "--continue", "--no-stream", "What is 12*34?").strip().isdigit()
