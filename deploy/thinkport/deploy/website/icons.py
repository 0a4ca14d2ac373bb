"""The app's icons, drawn: thinkport's T on a rounded square, as `icon.svg` of the page has it, in PNG for home screens.

PNG by its specification (https://www.w3.org/TR/png-3/): signature, IHDR, IDAT, IEND.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIZES = {"icon-192.png": (192, False), "icon-512.png": (512, False), "icon-maskable-512.png": (512, True)}
TOUCH_ICON = "apple-touch-icon.png"
_GROUND, _INK = (0x4F, 0x5B, 0xD5), (255, 255, 255)
_UNIT = 32  # of the drawing
_CORNER, _STROKE = 8.0, 3.4
_LINES = (((9.0, 10.5), (23.0, 10.5)), ((16.0, 10.5), (16.0, 22.5)))
_SAMPLES = 3  # a side of a pixel
_MASKED = 0.8  # of a maskable icon's side, what every shape of mask leaves (https://www.w3.org/TR/appmanifest/)


def icons() -> dict[str, bytes]:
    """The PNG files of all icons, by their names. A maskable one, and the touch icon, fill their square."""
    made = {name: png(size, masked=masked) for name, (size, masked) in SIZES.items()}
    return made | {TOUCH_ICON: png(180, masked=True)}


def png(size: int, *, masked: bool) -> bytes:
    """An icon of `size` pixels a side, 8 bits of red, green, blue and alpha each."""
    side = (np.arange(size * _SAMPLES) + 0.5) / (size * _SAMPLES) * _UNIT
    x, y = np.meshgrid(side, side)
    ground = np.ones_like(x) if masked else _inside_square(x, y)
    scale = _MASKED if masked else 1.0
    centre = _UNIT / 2
    ink = _inside_lines((x - centre) / scale + centre, (y - centre) / scale + centre)
    shares = [_averaged(part, size) for part in (ground, ink)]
    colours = np.array(_GROUND) + shares[1][..., None] * (np.array(_INK) - np.array(_GROUND))
    pixels = np.concatenate([colours, 255 * shares[0][..., None]], axis=2).round().astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # each row with filter 0
    header = struct.pack(">2I5B", size, size, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _inside_square(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    far = np.maximum(np.abs(np.stack([x, y]) - _UNIT / 2) - (_UNIT / 2 - _CORNER), 0)
    return np.where(np.hypot(far[0], far[1]) <= _CORNER, 1.0, 0.0)


def _inside_lines(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whether points lie within half a stroke of a line; its ends are round."""
    found = np.zeros_like(x, dtype=bool)
    for (x0, y0), (x1, y1) in _LINES:
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)
        at = np.clip(along, 0, 1)
        found |= np.hypot(x - x0 - at * (x1 - x0), y - y0 - at * (y1 - y0)) <= _STROKE / 2
    return found.astype(np.float64)


def _averaged(samples: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    averaged: NDArray[np.float64] = samples.reshape(size, _SAMPLES, size, _SAMPLES).mean(axis=(1, 3))
    return averaged


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
