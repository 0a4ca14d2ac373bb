"""The program at a pseudo-terminal, typed at and read from an emulated screen."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select

import pyte
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals like POSIX's")

ENTER, CTRL_C, CTRL_D = "\r", "\x03", "\x04"
MAIN = "from thinkport.runtime.cli.main import main; main()"
SLOW_FAKE = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("fakes", {str(Path(__file__).with_name("conftest.py"))!r})
sys.modules["fakes"] = fakes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fakes)
from thinkport.runtime.terminal import reply_programs
from thinkport.runtime.terminal.prompt_line import PromptLine
script = fakes.Script(thought="hm " * 6000, answer="**word** " * 6000, per_second=50)
conversation = fakes.talk(script)
lines = PromptLine(history=None, toolbar=lambda width: "slow fake")
try:
    reply_programs.ChatProgram(conversation).run(lines)
except KeyboardInterrupt:
    sys.exit(130)
"""


class Screen(pyte.HistoryScreen):  # type: ignore[misc]
    """A screen that answers where its cursor is, as terminals do."""

    def __init__(self, columns: int, lines: int, answer: Callable[[str], None]):
        super().__init__(columns, lines, history=500)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        self._answer(data)


class Terminal:
    """A program at a pseudo-terminal."""

    def __init__(self, command: list[str], state: Path, columns: int = 80, lines: int = 24):
        import fcntl
        import struct
        import termios

        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        fixed = {"TERM": "xterm-256color", "XDG_STATE_HOME": str(state), "PYTHONUTF8": "1"}
        environment = {
            name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")
        }
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment | fixed,
            preexec_fn=_lead,
        )
        os.close(slave)
        self._screen = Screen(columns, lines, self.type)
        self._stream = pyte.ByteStream(self._screen)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def text(self) -> str:
        """Scrollback and window."""
        width = self._screen.columns
        above = ["".join(row[column].data for column in range(width)).rstrip() for row in self._screen.history.top]
        return "\n".join([*above, *(line.rstrip() for line in self._screen.display)])

    def wait_for(self, holds: Callable[[str], bool], seconds: float = 300) -> str:
        """The screen's text, once something holds of it."""
        until = time.monotonic() + seconds
        while not holds(text := self.text()):
            assert time.monotonic() < until, f"not within {seconds} s; the screen shows:\n{text}"
            self._read()
        return text

    def ended(self, seconds: float = 300) -> int:
        """The exit code, once the program has ended."""
        until = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < until:
            self._read()
        code = self.process.wait(timeout=60)
        while self._read():  # what it wrote last
            pass
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _read(self) -> bool:
        """Show what the program wrote; whether there was anything."""
        if not select([self._master], [], [], 0.1)[0]:
            return False
        try:
            self._stream.feed(os.read(self._master, 65536))
        except OSError:  # Linux says so where the other end is closed
            time.sleep(0.05)
            return False
        return True


def at_the_prompt(text: str) -> bool:
    """Whether a prompt and the line below it are the last that is shown."""
    return text.rstrip().splitlines()[-2:-1] == [">"]


def _lead() -> None:
    """Makes the pseudo-terminal the one whose Ctrl-C the program gets."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def terminal(code: str, *arguments: str, state: Path) -> Iterator[Terminal]:
    opened = Terminal([sys.executable, "-c", code, *arguments], state)
    try:
        yield opened
    finally:
        opened.close()


def test_a_chat_is_typed_and_read(nano_artifact: Path, tmp_path: Path) -> None:
    with terminal(MAIN, "chat", str(nano_artifact), "--seed", "0", state=tmp_path) as opened:
        opened.wait_for(lambda text: "thinking as the model has it · cpu" in text)
        opened.type(f"What is 12*34?{ENTER}")
        text = opened.wait_for(lambda text: re.search(r"stop(\n| · )context", text) is not None)  # breaks by the speed
        assert "▸ thought" in text
        assert "\n\n0408\n" in text
        opened.type(f"/no_think{ENTER}")
        opened.wait_for(lambda text: "thinking off · cpu" in text)
        opened.type(f"never sent{CTRL_C}/stats{ENTER}")
        text = opened.wait_for(lambda text: "turns    1 in" in text)
        assert "> never sent/stats" not in text
        opened.type(f"/exti{ENTER}")
        opened.wait_for(lambda text: "did you mean /exit?" in text)
        opened.wait_for(at_the_prompt)
        opened.type(CTRL_D)
        assert opened.ended() == 0
        assert "Traceback" not in opened.text()
    assert "+What is 12*34?" in (tmp_path / "thinkport" / "chat-history").read_text()


def test_ctrl_c_ends_the_thought_then_the_turn_and_the_prompt_comes_back(tmp_path: Path) -> None:
    with terminal(SLOW_FAKE, state=tmp_path) as opened:
        opened.wait_for(lambda text: "slow fake" in text)
        opened.type(f"What?{ENTER}")
        opened.wait_for(lambda text: "tok/s" in text)
        opened.type(CTRL_C)
        text = opened.wait_for(lambda text: "· user" in text and "word word" in text)
        assert "^C" not in text
        assert "thinking " not in text.split("▸ thought")[1]
        opened.type(CTRL_C)
        text = opened.wait_for(lambda text: "cancelled" in text)
        assert "**word" not in text
        opened.wait_for(at_the_prompt)
        opened.type(CTRL_C + CTRL_D)
        assert opened.ended() == 0


def test_ctrl_c_three_times_leaves_and_the_terminal_is_as_before(tmp_path: Path) -> None:
    slower = SLOW_FAKE.replace("per_second=50", "per_second=0.1")
    with terminal(slower, state=tmp_path) as opened:
        opened.wait_for(lambda text: "slow fake" in text)
        opened.type(f"What?{ENTER}")
        opened.wait_for(lambda text: "tok/s" in text)
        for _ in range(3):  # all within a token, since the turn's end takes the third
            opened.type(CTRL_C)
            time.sleep(0.5)  # a second signal of a kind that waits already is dropped
        assert opened.ended() == 130, opened.text()
        assert not opened._screen.cursor.hidden
