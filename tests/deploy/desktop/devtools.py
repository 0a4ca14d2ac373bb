"""A page of a web view, spoken to by Chromium's DevTools protocol over a WebSocket (RFC 6455).

Qt's web view has one page and no browser around it, without which Playwright doesn't connect.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit


class WebSocket:
    """A client of text messages, one at a time."""

    def __init__(self, url: str):
        at = urlsplit(url)
        assert at.hostname is not None
        self._socket = socket.create_connection((at.hostname, at.port or 80), timeout=120)
        self._file = self._socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self._socket.sendall(f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        assert b" 101 " in self._file.readline()
        while self._file.readline().strip():
            pass

    def send(self, text: str) -> None:
        data, mask = text.encode(), os.urandom(4)
        size = struct.pack("!BH", 0x80 | 126, len(data)) if len(data) < 1 << 16 else struct.pack("!BQ", 0xFF, len(data))
        self._socket.sendall(b"\x81" + size + mask + bytes(one ^ mask[at % 4] for at, one in enumerate(data)))

    def receive(self) -> str:
        """The next message; frames that only keep the connection are passed over."""
        whole = b""
        while True:
            first, second = self._file.read(2)
            size = second & 0x7F
            if size >= 126:
                (size,) = (
                    struct.unpack("!H", self._file.read(2)) if size == 126 else struct.unpack("!Q", self._file.read(8))
                )
            data = self._file.read(size)
            if first & 0x0F in (0, 1):
                whole += data
                if first & 0x80:
                    return whole.decode()

    def close(self) -> None:
        self._socket.close()


class Page:
    """One page: scripts are run in it, and it is looked at."""

    def __init__(self, url: str):
        self._socket, self._number = WebSocket(url), 0

    def close(self) -> None:
        self._socket.close()

    def run(self, script: str) -> Any:
        """The value of an expression."""
        told = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, script: str, seconds: float = 120) -> Any:
        """The value of an expression once it is true."""
        until = monotonic() + seconds
        while not (value := self.run(script)):
            assert monotonic() < until, f"{script}: {self.run('document.body.innerText')}"
            sleep(0.1)
        return value

    def picture(self, path: Path) -> None:
        """Keep what the page shows."""
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"]))

    def press(self, name: str) -> None:
        """Click on the button of that name, once it is there."""
        named = f"one => [one.ariaLabel, one.textContent].some(text => text?.trim().startsWith({json.dumps(name)}))"
        button = f"[...document.querySelectorAll('button')].find({named})"
        self.wait(f"!!{button}")
        self.run(f"{button}.click()")

    def write(self, text: str) -> None:
        """Write a message, and send it."""
        self.run("document.querySelector('#message').focus()")
        self._ask("Input.insertText", text=text)
        self.wait("!document.querySelector('.round').disabled")
        self.run("document.querySelector('.composer').requestSubmit()")

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            told = json.loads(self._socket.receive())
            if told.get("id") == self._number:
                assert "error" not in told, told["error"]
                result: dict[str, Any] = told["result"]
                return result
