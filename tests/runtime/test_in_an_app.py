"""A model within somebody else's program: silent, leaving signals alone, and gone when the program is."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from thinkport.runtime import ArtifactError, Model

QUESTION = "What is 86*57?"
PROGRAM = """
import atexit, signal, sys, threading
farewell = []
atexit.register(lambda: [say() for say in farewell])  # before thinkport's, and so after them
from thinkport.runtime import Model
handlers = [signal.getsignal(one) for one in signal.valid_signals()]
model = Model.load(sys.argv[1])
chat = model.chat(thinking=True)
begun = threading.Event()
turn = chat.start("What is 86*57?", on_event=lambda event: begun.set(), seed=1)
assert begun.wait(60)
{then}
assert handlers == [signal.getsignal(one) for one in signal.valid_signals()], "a signal handler was installed"
"""
MEMORY = """
import sys
from pathlib import Path
import onnxruntime
from thinkport.runtime import Model

def resident():
    return next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("VmRSS"))

print(resident())
model = Model.load(sys.argv[1])
chat = model.chat()
for turn in range(int(sys.argv[2])):
    model.reload()
    chat.send("What is 86*57?", seed=1, max_tokens=50)
    if turn == 0:
        print(resident())
    model.unload()
    print(resident())
"""


def run(artifact: Path, then: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-c", PROGRAM.format(then=then), str(artifact)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    "then",
    [
        pytest.param("turn.result()", id="a whole turn"),
        pytest.param("turn.result(); model.close()", id="closed"),
        pytest.param("pass", id="the program ends within a turn"),
        pytest.param("model.unload()", id="unloaded within a turn"),
        pytest.param("del turn, chat, model", id="everything dropped within a turn"),
        pytest.param("turn.cancel(); chat.settle()", id="ends while it settles"),
    ],
)
def test_a_program_hears_nothing_of_a_model_and_ends_when_it_wants_to(nano_artifact: Path, then: str) -> None:
    ended = run(nano_artifact, then)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_program_that_ends_does_not_wait_for_a_long_reply(nano_artifact: Path) -> None:
    long = (
        "from thinkport.runtime import Regex\n"
        "turn.result(60)\n"
        "begun.clear()\n"
        "endless = {'thinking': False, 'response_format': Regex('[0-9]{4000}')}\n"
        "turn = chat.start('Count.', on_event=lambda event: begun.set(), **endless)\n"
        "assert begun.wait(60)\n"
        "farewell.append(lambda: print(turn._thread.is_alive(), len(chat.messages)))\n"
        "sys.exit(7)"
    )
    ended = run(nano_artifact, long)
    assert (ended.returncode, ended.stdout) == (7, "False 2\n"), ended.stderr  # the first turn alone is in the chat


def test_several_chats_talk_at_once_over_one_model_as_they_would_alone(nano_artifact: Path) -> None:
    limit = 9 << 18  # for four chats, and hardly more
    with Model.load(nano_artifact, memory_limit=limit) as model:
        alone = [model.chat().send(f"What is 1{seed}*12?", seed=seed).answer for seed in range(4)]
        chats = [model.chat() for _ in range(4)]
        turns = [chat.start(f"What is 1{seed}*12?", seed=seed) for seed, chat in enumerate(chats)]
        assert [turn.result(60).answer for turn in turns] == alone
        assert 0 < model.memory.kv + model.memory.shared <= limit


def test_chats_of_an_unloaded_model_go_on_once_it_is_loaded_again(nano_artifact: Path) -> None:
    with Model.load(nano_artifact) as model:
        chat = model.chat(thinking=False)
        chat.send(QUESTION, seed=1)
        model.unload()
        model.reload()
        end = chat.send("And 86*58?", seed=1)
        assert (end.cached_tokens, len(chat.messages)) == (0, 4)


def test_a_model_that_is_unloaded_again_and_again_takes_no_more_memory(nano_artifact: Path) -> None:
    _, loaded, *unloaded = memory_around_unloads(nano_artifact, times=12)
    assert unloaded[0] < loaded
    assert unloaded[-1] - unloaded[2] < 8 << 20  # the weights have about as much


@pytest.mark.long
def test_an_unloaded_0_6b_gives_nearly_all_of_its_memory_back(made_up, exported) -> None:
    before, loaded, unloaded = memory_around_unloads(exported(made_up("0.6B"), targets=("cpu",)), times=1)
    print(f"{before >> 20} MiB before, {loaded >> 20} loaded, {unloaded >> 20} unloaded")
    assert unloaded - before < 0.2 * (loaded - before)


def test_a_graph_that_is_another_one_by_now_is_not_loaded_again(nano_artifact: Path, tmp_path: Path) -> None:
    folder = copytree(nano_artifact, tmp_path / "copy")
    with Model.load(folder) as model:
        model.unload()
        (folder / "cpu.onnx").unlink()
        with pytest.raises(ArtifactError, match=r"cpu\.onnx"):
            model.reload()
        assert not model.loaded


def memory_around_unloads(artifact: Path, *, times: int) -> list[int]:
    """Bytes of a new process in memory: before it loads a model, after its first turn, and after each unload."""
    if not Path("/proc/self/status").is_file():
        pytest.skip("this system does not tell a process's memory in /proc")
    command = [sys.executable, "-c", MEMORY, str(artifact), str(times)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout.split()
    return [int(one) << 10 for one in told]
