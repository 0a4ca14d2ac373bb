"""From an artifact's folder to a window, and to the end of the program. Imports PySide6 only when it is called."""

from pathlib import Path

from thinkport.deploy.desktop.display import check_libraries, check_screen
from thinkport.runtime.extras import require


def run(artifact: Path | None = None, *, provider: str, state: Path) -> int:
    """Show the window until it is closed; the program's exit code.

    `artifact` is opened at once; None asks for one. `state` is the folder that keeps which artifacts were opened.

    Raises:
        InputError: there is no screen.
        MissingExtraError: PySide6 is not installed, or a library of the system that it needs.
    """
    check_screen()
    require("desktop", "PySide6")
    check_libraries()
    from PySide6.QtWidgets import QApplication

    from thinkport.deploy.desktop.collector import Collector
    from thinkport.deploy.desktop.recent import Recent
    from thinkport.deploy.desktop.window import Window

    application = QApplication.instance() or QApplication(["thinkport"])
    application.setApplicationName("thinkport")
    collector = Collector(application)
    window = Window(Recent(state / "desktop.json"), provider=provider)
    window.show()
    if artifact is not None:
        window.open(artifact)
    code: int = application.exec()
    collector.stop()
    return code
