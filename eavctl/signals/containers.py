"""Containers of films, opened so that no file can make FFmpeg open another; when their streams begin."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

from eavctl.errors import SignalError
from eavctl.storage.remote_tree import whole

LARGEST_SIDE = 8192  # pixels, of a square picture: bounds memory
SHOWN_BYTES = 12

# Without protocols, and without a name (see `_Bytes`), no file can make FFmpeg open another. One thread,
# because recordings are processed in parallel.
OPTIONS = {"protocol_whitelist": "none", "max_pixels": str(LARGEST_SIDE**2), "threads": "1"}


def start_of(path: str | os.PathLike[str], modality: str) -> float:
    """When the sound, or the picture, of a film begins.

    Parameters
    ----------
    path : a recording of any format that FFmpeg's libraries can read.
    modality : ``audio`` or ``video``.

    Returns
    -------
    Seconds after the earlier of the two; 0 where the other is missing, or the file has no times.

    Raises
    ------
    SignalError : not such a recording.
    """
    name = os.fspath(path)
    with open_file(name) as file, open_container(file, name) as container:
        starts = {
            kind: float((stream.start_time or 0) * (stream.time_base or 0))
            for kind, streams in (("audio", container.streams.audio), ("video", pictures_of(container)))
            for stream in streams[:1]
        }
        return starts[modality] - min(starts.values()) if modality in starts else 0.0


def open_file(path: str) -> BinaryIO:
    """Open a file.

    Raises
    ------
    SignalError : a folder, missing, or not readable.
    DataError : it is remote, and cannot be fetched.
    """
    whole(path)
    try:
        return open(path, "rb")
    except IsADirectoryError:
        raise SignalError(f"{path}: a folder, not a recording") from None
    except FileNotFoundError:
        raise SignalError(f"{path}: no such file") from None
    except OSError as error:
        raise SignalError(f"{path}: cannot be opened ({error.strerror})") from None


def open_container(file: BinaryIO, name: str) -> Any:
    """Open the container of a film, whatever is in it.

    Parameters
    ----------
    file, name : open file, and its name for errors.

    Raises
    ------
    SignalError : not a film, empty, or damaged.
    """
    import av

    try:
        return av.open(_Bytes(file), options=OPTIONS)
    except (av.FFmpegError, ValueError):
        file.seek(0)
        start = file.read(SHOWN_BYTES)
        reason = f"not a video file, or damaged (first bytes are {start!r})" if start else "the file is empty"
        raise SignalError(f"{name}: {reason}") from None


def pictures_of(container: Any) -> list[Any]:
    """The video streams that are no cover of an album."""
    from av.stream import Disposition

    return [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]


class _Bytes:
    """An open file without its name, from which FFmpeg would choose formats and open series of files."""

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
