"""Single pictures: videos of one frame. Those of the usual formats are decoded to upright 8-bit RGB."""

from __future__ import annotations

import contextlib
import itertools
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from eavctl.errors import RecordingWarning, SignalError
from eavctl.signals.containers import LARGEST_SIDE, open_file
from eavctl.signals.video import USUAL_FPS

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L")  # grey of 16 bits
FLOAT_MODE = "F"
DEEPEST = 65535
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)  # of EXIF
WHITE = (255, 255, 255, 255)
SHOWN_BYTES = 12


class Kind(NamedTuple):
    """What the header of a picture says: its size in pixels, and whether it is grey."""

    height: int
    width: int
    is_grey: bool


class Still:
    """A picture as a video of one frame, with the interface of `eavctl.signals.video.VideoFile`.

    Parameters
    ----------
    picture : uint8 RGB, shape (height, width, 3).
    """

    fps, duration = USUAL_FPS, 1 / USUAL_FPS

    def __init__(self, picture: np.ndarray) -> None:
        self._picture = picture

    def frames(self, start: float, end: float, n: int) -> Iterator[np.ndarray]:
        """The picture, n times."""
        return itertools.repeat(self._picture, n)


def as_rgb(grey: np.ndarray) -> np.ndarray:
    """A grey picture (height, width) as RGB (height, width, 3), a view that takes no memory."""
    return np.broadcast_to(grey[:, :, None], (*grey.shape, 3))


def kind_of(path: str | os.PathLike[str]) -> Kind:
    """The size of a picture, upright, and whether it is grey, without decoding it.

    Raises
    ------
    SignalError : not a picture, or too large.
    """
    with _opened(os.fspath(path)) as image:
        width, height = image.size
        if image.getexif().get(ORIENTATION, 1) in SIDEWAYS:
            width, height = height, width
        return Kind(height, width, image.mode in (*GREY_MODES, *DEEP_MODES))


def read_picture(path: str | os.PathLike[str]) -> np.ndarray:
    """Decode a picture: uint8 RGB, shape (height, width, 3).

    It is turned upright by its EXIF orientation. Transparent parts lie on white; of 16 bits, the upper 8 are
    kept, rounded; CMYK and palettes are converted to RGB. Of several pictures in a file, the first is used,
    with a `RecordingWarning`.

    Raises
    ------
    SignalError : not a picture, damaged, too large, or its values are floats.
    """
    from PIL import ImageOps

    name = os.fspath(path)
    with _opened(name) as image:
        if getattr(image, "n_frames", 1) > 1:
            warnings.warn(
                f"{name}: holds several pictures; the first is used", RecordingWarning, stacklevel=2
            )
        if image.mode == FLOAT_MODE:
            raise SignalError(f"{name}: its values are floats; save it as 8 or 16 bits")
        return np.array(_converted(ImageOps.exif_transpose(image), name))


def _converted(image: Image, name: str) -> Image:
    from PIL import Image as Images

    if image.mode in DEEP_MODES:
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > DEEPEST:
            raise SignalError(f"{name}: grey levels outside of 16 bits; save it as 8 or 16 bits")
        levels = np.round(values * (255 / DEEPEST)).astype(np.uint8)
        return Images.fromarray(levels).convert("RGB")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Images.alpha_composite(Images.new("RGBA", clear.size, WHITE), clear).convert("RGB")
    return image.convert("RGB")


@contextlib.contextmanager
def _opened(name: str) -> Iterator[Image]:
    """Open a picture; whatever goes wrong with the file in the block becomes a SignalError."""
    from PIL import Image as Images

    with open_file(name) as file:
        try:
            with Images.open(file, formats=FORMATS) as image:
                width, height = image.size
                if width * height > LARGEST_SIDE**2:
                    limit = f"{LARGEST_SIDE} x {LARGEST_SIDE}"
                    raise SignalError(f"{name}: {width} x {height} pixels are more than {limit}")
                yield image
        except (SignalError, MemoryError):
            raise
        except Images.DecompressionBombError:
            raise SignalError(f"{name}: too many pixels: more than {LARGEST_SIDE} x {LARGEST_SIDE}") from None
        except Images.UnidentifiedImageError:
            file.seek(0)
            start = file.read(SHOWN_BYTES)
            reason = f"not a picture (first bytes are {start!r})" if start else "the file is empty"
            raise SignalError(f"{name}: {reason}") from None
        except Exception as error:  # decoders of damaged files fail in many ways
            raise SignalError(f"{name}: damaged ({error or type(error).__name__})") from None
