"""Still pictures of any kind become upright 8-bit RGB, and what cannot is refused by name."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eavctl.errors import RecordingWarning, SignalError
from eavctl.signals.still import kind_of, read_picture

ORIENTATION = 0x0112


def colours(height: int = 12, width: int = 20) -> np.ndarray:
    """A smooth picture whose corners differ."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 12, y * 20, 255 - x * 12], axis=2).astype(np.uint8)


def saved(path: Path, image: Any, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "ppm", "webp", "jpg"])
def test_colours_are_read_as_they_were_saved(ending: str, tmp_path: Path) -> None:
    path = saved(
        tmp_path / f"a.{ending}", Image.fromarray(colours()), **{"lossless": True} if ending == "webp" else {}
    )
    found = read_picture(path)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - colours()).mean() <= (10 if ending == "jpg" else 0)
    assert kind_of(path) == (12, 20, False)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_grey_is_repeated(mode: str, tmp_path: Path) -> None:
    levels = np.where(colours()[:, :, 0] > 100, 255, 0).astype(np.uint8)
    path = saved(tmp_path / "a.png", Image.fromarray(levels).convert(mode))
    assert np.array_equal(read_picture(path), np.repeat(levels[:, :, None], 3, axis=2))
    assert kind_of(path).is_grey is (mode != "P")


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_of_16_bits_the_upper_8_are_kept_rounded(ending: str, tmp_path: Path) -> None:
    levels = np.linspace(0, 65535, 240).reshape(12, 20).astype(np.uint16)
    found = read_picture(saved(tmp_path / f"a.{ending}", Image.fromarray(levels)))
    assert np.array_equal(found[:, :, 1], np.round(levels / 257))
    assert kind_of(tmp_path / f"a.{ending}").is_grey


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    clear = np.concatenate([colours(), np.full((12, 20, 1), 255, np.uint8)], axis=2)
    clear[:6, :, 3] = 0
    clear[6, :, 3] = 128
    found = read_picture(saved(tmp_path / "a.png", Image.fromarray(clear))).astype(int)
    assert (found[:6] == 255).all()
    assert np.array_equal(found[7:], colours()[7:])
    assert np.abs(found[6] - (colours()[6] / 2 + 127.5)).max() < 2


def test_cmyk_is_converted(tmp_path: Path) -> None:
    image = Image.fromarray(colours()).convert("CMYK")
    found = read_picture(saved(tmp_path / "a.jpg", image, quality=95))
    assert np.abs(found.astype(int) - colours()).mean() < 4


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_are_turned_upright_by_their_exif(turn: int, tmp_path: Path) -> None:
    """The camera's picture for each orientation, by the definition of the EXIF standard."""
    upright = colours()
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright, 1), 7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[turn]  # fmt: skip
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    path = saved(tmp_path / "a.png", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    assert np.array_equal(read_picture(path), upright)
    assert kind_of(path)[:2] == (12, 20)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, body: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(colours(64, 64)).save(stream, kind)
    return stream.getvalue()


HOSTILE = {
    "empty": (b"", "empty"),
    "text": (b"this is not a picture", "not a picture"),
    "bomb": (png(50_000, 50_000, bytes(10_000_000)), "8192"),
    "wide bomb": (png(200_000_000, 1, bytes(1000)), "8192"),
    "lying header": (png(4000, 4000, bytes(100)), "damaged"),
    "cut png": (encoded("PNG")[:100], "damaged"),
    "cut jpeg": (encoded("JPEG")[:-300], "damaged"),
    "cut tiff": (encoded("TIFF")[:100], "damaged|not a picture"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", HOSTILE)
def test_damage_and_lies_are_refused_by_name(name: str, tmp_path: Path) -> None:
    content, reason = HOSTILE[name]
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(SignalError, match=f"{tmp_path / 'a.png'}: .*({reason})"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif", "bmp"])
def test_damaged_anywhere_it_is_read_or_refused(ending: str, tmp_path: Path) -> None:
    path = saved(tmp_path / f"a.{ending}", Image.fromarray(colours()))
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 4):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert read_picture(path).dtype == np.uint8
            except SignalError as error:
                assert str(path) in str(error)  # noqa: PT017  (either outcome is right)


def test_floats_are_refused_and_the_first_of_several_is_used(tmp_path: Path) -> None:
    path = saved(tmp_path / "f.tif", Image.fromarray(np.ones((9, 9), np.float32)))
    with pytest.raises(SignalError, match="floats"):
        read_picture(path)
    first, second = Image.fromarray(colours()), Image.fromarray(255 - colours())
    path = saved(tmp_path / "s.tif", first, save_all=True, append_images=[second])
    with pytest.warns(RecordingWarning, match="several pictures"):
        assert np.array_equal(read_picture(path), colours())
