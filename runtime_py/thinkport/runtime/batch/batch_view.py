"""How a batch looks on a terminal: a bar while it runs, then a line."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from thinkport.runtime.batch.batch_output import BatchOutput
from thinkport.runtime.batch.reply_bar import ReplyBar
from thinkport.runtime.batch.row_replies import written_tokens


class BatchView(ReplyBar):
    """Shows the rows of a run within its context; prints nothing to a pipe."""

    def __init__(self, console: Console, output: BatchOutput, rows: int):
        super().__init__(console)
        self._output, self._rows, self._before = output, rows, len(output.done)
        self._task = self.add_task("", start=False, total=rows, completed=self._before)
        self._tokens = 0

    def start(self) -> None:
        """Show the bar; time is counted from here."""
        self.start_task(self._task)
        super().start()

    def written(self, line: Mapping[str, Any]) -> None:
        """Count a line that the output has now."""
        self._tokens += written_tokens(line)
        failed = f"{self._output.failed} failed" if self._output.failed else ""
        self.update(self._task, completed=len(self._output.done), description=failed)

    def told(self) -> str:
        """What became of the rows, in a line."""
        done, failed, seconds = len(self._output.done), self._output.failed, self.tasks[0].elapsed or 0.0
        before = f", {self._before} of them before this run" if self._before else ""
        open_rows = f", {self._rows - done} left" if done < self._rows else ""
        here = ""
        if (rows := done - self._before) and seconds:
            speeds = f"{rows / seconds:.2f} rows/s, {self._tokens / seconds:.1f} tok/s"
            here = f"; {self._tokens} tokens in {seconds:.1f} s ({speeds})"
        return f"{done - failed} of {self._rows} rows answered, {failed} failed{open_rows}{before}{here}"
