"""Work in the background: a program may end at any moment of its life."""

from types import SimpleNamespace
from weakref import finalize

from thinkport.runtime.reply import background
from thinkport.runtime.reply.background import Background


def test_a_program_that_ends_while_work_is_being_started_neither_fails_nor_runs_it(monkeypatch) -> None:
    def ends_at_once(owner, give_up, *arguments):
        give_up(*arguments)  # what the interpreter's exit does, here before the thread starts
        return finalize(owner, lambda: None)

    monkeypatch.setattr(background, "weakref", SimpleNamespace(finalize=ends_at_once))
    worked: list = []
    work = Background(worked.append)
    assert work.wait(30)
    assert (worked, work.error) == ([], None)
