"""Ctrl-C before the program is up: while modules are imported, and while an artifact is loaded."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT that reaches one process alone")

MAIN = "from thinkport.launch import main; main()"
# Says on stdout that a module is being imported, and then takes its time.
SLOW = """
import sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            print("importing", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Slow())
"""


def interrupted(source: str, *arguments: str) -> tuple[int, str]:
    """The exit code and stderr of a program that gets a Ctrl-C as soon as it says something."""
    command = [sys.executable, "-c", source, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_usual
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    return child.returncode, said


def _usual() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests may ignore it


@pytest.mark.parametrize("module", ["typer", "numpy", "thinkport.runtime.model", "thinkport.runtime.cli.main"])
def test_an_interrupt_within_the_imports_ends_the_program_without_a_word(module: str) -> None:
    code, said = interrupted(SLOW.format(name=module) + MAIN, "generate", "no-artifact", "hi")
    assert (code, said) == (-signal.SIGINT, "")


@pytest.mark.parametrize("module", ["thinkport.deploy.cli", "thinkport.runtime.terminal.reply_programs", "onnxruntime"])
def test_an_interrupt_of_a_verb_that_begins_is_no_traceback(module: str, nano_artifact: Path) -> None:
    code, said = interrupted(SLOW.format(name=module) + MAIN, "generate", str(nano_artifact), "hi")
    assert code == 130
    assert "Traceback" not in said
    assert said in ("", "thinkport: interrupted\n")


def test_an_interrupt_is_ignored_where_the_shell_says_so() -> None:
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    source = ignoring + SLOW.format(name="typer").replace("60", "1") + MAIN
    command = [sys.executable, "-c", source, "--version"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        out, said = child.communicate(timeout=120)
    assert (child.returncode, said) == (0, "")
    assert out.startswith("thinkport ")


def test_whenever_it_comes_there_is_no_traceback_of_ours(nano_artifact: Path) -> None:
    """At moments spread over the start; before the first module Python itself is still starting."""
    for delay in (0.3, 0.6, 1.0, 1.5, 2.5):
        command = [sys.executable, "-c", f"print(flush=True); {MAIN}", "generate", str(nano_artifact), "What is 3*4?"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_usual, env=os.environ
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            sleep(delay)
            child.send_signal(signal.SIGINT)
            _, said = child.communicate(timeout=120)
        assert "Traceback" not in said, (delay, said)


@pytest.mark.parametrize(("cause", "code"), [("KeyboardInterrupt()", 130), ("None", 1)])
def test_a_compiled_module_that_is_interrupted_while_it_starts_is_an_interrupt(
    cause: str, code: int, nano_artifact: Path
) -> None:
    """It raises an ImportError, whose cause is the interrupt; one without that cause is a fault, and shown whole."""
    source = f"""
import sys

class Started:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            raise ImportError("initialization failed") from {cause}

sys.meta_path.insert(0, Started())
"""
    command = [sys.executable, "-c", source + MAIN, "generate", str(nano_artifact), "hi"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == code
    assert (done.stderr == "thinkport: interrupted\n") == (code == 130), done.stderr
