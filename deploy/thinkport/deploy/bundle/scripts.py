"""The scripts and the README of a bundle: templates with a few words put in."""

from importlib.resources import files
from importlib.resources.abc import Traversable

from thinkport.deploy.bundle.platform import Platform


def scripts(platform: Platform, words: dict[str, str]) -> dict[str, bytes]:
    """Names and contents of the scripts for a platform, README.txt included; `words` are put in for @WORDS@."""
    templates = files("thinkport.deploy.bundle") / "templates"
    own = templates / ("windows" if platform.windows else "posix")
    words = {**words, "MACHINE": platform.platform_machine, "WHEELS": platform.name, **_steps(platform)}
    found = sorted([templates / "README.txt", *own.iterdir()], key=lambda file: file.name)
    return {file.name: _filled(file, words, windows=platform.windows) for file in found}


def _steps(platform: Platform) -> dict[str, str]:
    if platform.windows:
        return {
            "INSTALL": "Double-click install.cmd, or run it in a terminal.",
            "START": "Run chat.cmd, or serve.cmd for a server on this machine.",
        }
    return {"INSTALL": "sh install.sh", "START": "sh chat.sh, or sh serve.sh for a server on this machine"}


def _filled(template: Traversable, words: dict[str, str], *, windows: bool) -> bytes:
    text = template.read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text.replace("\n", "\r\n" if windows else "\n").encode()
