"""The reader of HDF5 files that runs in the process of `eavctl.signals.hdf5_process`."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from eavctl.errors import SignalError
from eavctl.signals.mat_file import LARGEST_SLAB, check_expansion

CACHE_BYTES = 8 << 20  # of unpacked chunks
NUMBERS = "biuf"

_last: dict[tuple[str, int, int], Any] = {}  # the file opened last, by path, size and modification time


def answer(path: str, question: str, **details: Any) -> tuple[Any, bytes]:
    """Answer one request of `eavctl.signals.hdf5_process`.

    Parameters
    ----------
    path : path of the file.
    question : ``arrays`` describes the arrays of a file, ``block`` reads a part of one, ``close`` closes it.
    details : of a block: ``name`` of the array, ``axis`` in HDF5's order, ``start`` and ``stop`` along it.

    Returns
    -------
    A value for JSON, and the bytes of a block.

    Raises
    ------
    SignalError : the file cannot be read.
    """
    with _clear_errors(path):
        if question == "close":
            _close()
            return None, b""
        file = _opened(path)
        if question == "arrays":
            return list(_arrays(path, file)), b""
        place = (slice(None),) * details["axis"] + (slice(details["start"], details["stop"]),)
        return None, np.asarray(file[details["name"]][place]).tobytes()


@contextlib.contextmanager
def _clear_errors(path: str) -> Iterator[None]:
    """Convert the exceptions that HDF5's library raises on damaged files to a SignalError."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise SignalError(f"{path}: damaged, or not a MATLAB 7.3 file ({reason})") from None


def _opened(path: str) -> Any:
    import h5py

    found = os.stat(path)
    key = (path, found.st_size, found.st_mtime_ns)
    if key not in _last:
        _close()
        _last[key] = h5py.File(path, "r", rdcc_nbytes=CACHE_BYTES)
    return _last[key]


def _close() -> None:
    for file in _last.values():
        file.close()
    _last.clear()


def _arrays(path: str, file: Any) -> Iterator[dict[str, Any]]:
    """Describe the numeric arrays of a file, with their axes in HDF5's order."""
    import h5py

    for name in file:
        # Soft links, external links and virtual data sets could point to any file on the disk.
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            continue
        data = file[name]
        if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
            continue
        kind = data.attrs.get("MATLAB_class", b"")
        is_text = kind in (b"char", "char") or "MATLAB_empty" in data.attrs
        if data.dtype.kind not in NUMBERS or is_text or len(data.shape or ()) < 2:
            continue
        chunk_bytes = math.prod(data.chunks or ()) * data.dtype.itemsize
        if chunk_bytes > LARGEST_SLAB:
            raise SignalError(
                f"{path}: {name!r} is stored in chunks of {chunk_bytes >> 20} MB, more than "
                f"{LARGEST_SLAB >> 20} MB; save it again with smaller chunks"
            )
        check_expansion(path, name, math.prod(data.shape) * data.dtype.itemsize, data.id.get_storage_size())
        yield {
            "name": name,
            "shape": data.shape,
            "stored": data.dtype.str,
            "chunks": data.chunks,
            "is_logical": kind in (b"logical", "logical"),
        }


def serve() -> None:
    """Answer requests from stdin until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the process that sends the requests
    for line in sys.stdin.buffer:
        path, question, details = json.loads(line)
        response: dict[str, Any] = {"answer": None, "error": "", "n_bytes": 0}
        content = b""
        try:
            response["answer"], content = answer(path, question, **details)
        except SignalError as error:
            response["error"] = str(error)
        response["n_bytes"] = len(content)
        sys.stdout.buffer.write(json.dumps(response).encode() + b"\n")
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
