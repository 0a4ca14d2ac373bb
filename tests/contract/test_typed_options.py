"""A misspelled option is found by the type checker, before the program runs."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CALLS = """\
from thinkport.runtime import Chat, Model

def replies(model: Model, chat: Chat) -> None:
    model.generate("x", seed=1, sampling={"temperature": 0.5}, thinking=False)
    model.generate("x", temprature=1)
    model.stream("x", seed="1")
    chat.send("x", tools=[])
"""
ERRORS = [
    (5, 'Unexpected keyword argument "temprature" for "generate" of "Model"'),
    (6, 'Argument "seed" to "stream" of "Model" has incompatible type "str"; expected "int | None"'),
    (7, 'Unexpected keyword argument "tools" for "send" of "Chat"'),
]


def test_the_type_checker_knows_the_options_of_a_reply(tmp_path) -> None:
    source = tmp_path / "calls.py"
    source.write_text(CALLS, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--hide-error-codes", str(source)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    found = re.findall(r"calls\.py:(\d+): error: (.*)", told)
    assert [(int(line), message.strip()) for line, message in found] == ERRORS
