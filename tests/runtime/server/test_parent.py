"""A server that an app starts ends with that app, whatever kind of pipe the app gave it."""

import os
import socket
import subprocess
import sys
from typing import Any

import pytest

WATCH = (
    "import time\nfrom thinkport.runtime.server.parent import Parent\nparent = Parent()\nprint('up', flush=True)\n"
    + ("while not parent.gone():\n    time.sleep(0.02)\n")
)


def ends(kind: str) -> tuple[Any, Any]:
    """The end that an app keeps and the one that it gives to its child."""
    if kind == "socket":
        return socket.socketpair()
    read, write = os.pipe()
    return os.fdopen(write, "wb"), os.fdopen(read, "rb")


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_parent_that_closes_the_pipe_is_gone(kind: str) -> None:
    if kind == "socket" and os.name == "nt":
        pytest.skip("standard input is no socket on Windows")
    ours, theirs = ends(kind)
    with subprocess.Popen([sys.executable, "-c", WATCH], stdin=theirs, stdout=subprocess.PIPE) as child:
        theirs.close()
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        assert child.poll() is None
        ours.close()
        assert child.wait(120) == 0


def test_without_a_pipe_the_parent_is_there_while_it_lives() -> None:
    with subprocess.Popen([sys.executable, "-c", WATCH], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        child.kill()
