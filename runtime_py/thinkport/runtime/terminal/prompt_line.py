"""The prompt of a terminal: editing, history, several lines, completion and the line below.

The only module that imports prompt_toolkit, and itself imported only where stdin is a terminal.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, to_filter
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style

from thinkport.runtime.terminal.commands import COMMANDS
from thinkport.runtime.terminal.lookalikes import in_encoding

_STYLE = Style.from_dict({"bottom-toolbar": "noreverse ansibrightblack", "prompt": "bold"})
_NEXT = ". "  # stands before the second line and those after it


class PromptLine:
    """Reads from a terminal. Enter sends; Alt-Enter, or a backslash before Enter, begins another line."""

    def __init__(
        self,
        *,
        history: Path | None,
        toolbar: Callable[[int], str],
        input: Input | None = None,  # noqa: A002 - prompt_toolkit's name
        output: Output | None = None,
    ):
        """`history` is a file, None for this run only; `toolbar` gives the line below for a width in cells."""
        self._toolbar = toolbar
        self._leaving = False  # Ctrl-C was pressed on an empty line: once more leaves
        self._session: PromptSession[str] = PromptSession(
            "> ",
            multiline=True,
            prompt_continuation=_NEXT,
            key_bindings=self._bindings(),
            completer=CommandCompleter(),
            complete_while_typing=Condition(lambda: get_app().current_buffer.text.startswith("/")),
            history=InMemoryHistory() if history is None else KeptHistory(history),
            bottom_toolbar=self._below,
            style=_STYLE,
            reserve_space_for_menu=4,
            input=input,
            output=output,
        )
        self._session.default_buffer.on_text_changed += lambda _: self._stay()
        for window in self._session.layout.find_all_windows():
            if window.content is self._session.layout.current_control:
                window.dont_extend_height = to_filter(True)  # so that the toolbar stands right below the text

    def read(self, edit: str = "") -> str | None:
        """What was typed, None for Ctrl-D or a second Ctrl-C on an empty line; `edit` stands there to begin with."""
        self._stay()
        try:
            with patch_stdout(raw=True):  # a warning from another thread goes above the prompt
                text = self._session.prompt(default=edit)
        except EOFError:
            return None
        return text.encode("utf-8", "replace").decode("utf-8")  # bytes that are no text came as surrogates

    def _below(self) -> str:
        output = self._session.app.output
        text = "Ctrl-C again leaves" if self._leaving else self._toolbar(output.get_size().columns)
        return in_encoding(text, output.encoding())

    def _stay(self) -> None:
        self._leaving = False

    def _bindings(self) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("enter")
        def send(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if buffer.document.char_before_cursor == "\\":
                buffer.delete_before_cursor()
                buffer.insert_text("\n")
            elif buffer.text.strip():
                buffer.validate_and_handle()

        @bindings.add("escape", "enter")
        def another_line(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @bindings.add("c-c")
        def clear_or_leave(event: KeyPressEvent) -> None:
            if event.current_buffer.text:
                event.current_buffer.reset()
            elif self._leaving:
                event.app.exit(exception=EOFError())
            else:
                self._leaving = True

        return bindings


class CommandCompleter(Completer):
    """Completes commands at the start of a message, and paths after those that take one."""

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        """As prompt_toolkit asks for them."""
        name, space, argument = document.text_before_cursor.partition(" ")
        if not name.startswith("/") or "\n" in document.text:
            return
        for command in COMMANDS:
            if not space and command.name.startswith(name[1:]):
                yield Completion(f"/{command.name}", start_position=-len(name), display=command.usage)
            elif space and command.is_path and name == f"/{command.name}":
                yield from PathCompleter(expanduser=True).get_completions(Document(argument), event)


class KeptHistory(FileHistory):
    """A history in a file that only the user can read; a folder that can't be written costs the history alone."""

    def __init__(self, path: Path):
        """Make the file."""
        super().__init__(str(path))
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)

    def load_history_strings(self) -> Iterable[str]:
        """The newest first."""
        with suppress(OSError):
            yield from super().load_history_strings()

    def store_string(self, string: str) -> None:
        """Add one."""
        with suppress(OSError):
            super().store_string(string.encode("utf-8", "replace").decode("utf-8"))
