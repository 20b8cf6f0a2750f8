"""HDF5 files, read in a process of their own, because the HDF5 library crashes on some damaged files.

The process starts with the first file, serves all later ones, and ends when its input ends. A request is a
line of JSON; the response is a line of JSON, followed by the bytes of an array if one was requested. If the
process crashes or exceeds the time limit, the file counts as damaged, and the next request starts a new
process.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from typing import IO, Any

from eavctl.errors import SignalError

TIMEOUT_S = 120.0  # for one response; the slowest disk delivers a block of 16 MB sooner
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from eavctl.signals.hdf5_reader import serve; serve()"
)
_lock = threading.Lock()  # one request at a time
_processes: dict[int, subprocess.Popen[bytes]] = {}  # by the id of this process: a fork starts its own


def ask(path: str, question: str, **details: Any) -> tuple[Any, bytearray]:
    """Send a request about a file to the reading process.

    Parameters
    ----------
    path, question, details : see `eavctl.signals.hdf5_reader.answer`.

    Returns
    -------
    The answer, and the bytes that follow it.

    Raises
    ------
    SignalError : the file cannot be read, or the reading process crashes or exceeds the time limit.
    """
    whole = os.path.abspath(path)
    with _lock:
        response, content = _exchange(path, json.dumps([whole, question, details]).encode() + b"\n")
    if response["error"]:
        raise SignalError(response["error"].replace(whole, path))
    return response["answer"], content


def _exchange(path: str, request: bytes) -> tuple[dict[str, Any], bytearray]:
    """Send one request and receive its response and content."""
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    timeout = threading.Timer(TIMEOUT_S, process.kill)
    timeout.start()
    try:
        process.stdin.write(request)
        process.stdin.flush()
        response = json.loads(process.stdout.readline())
        return response, _read_exactly(process.stdout, response["n_bytes"])
    except (OSError, ValueError, EOFError):
        _stop()
        raise SignalError(f"{path}: damaged, the HDF5 library crashes on it or does not return") from None
    except BaseException:  # interrupted in the middle of a response
        _stop()
        raise
    finally:
        timeout.cancel()
        timeout.join()


def _process() -> subprocess.Popen[bytes]:
    process = _processes.get(os.getpid())
    if process is None or process.poll() is not None:
        command = [sys.executable, "-c", START, json.dumps(sys.path)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        _processes[os.getpid()] = process
    return process


@atexit.register
def _stop() -> None:
    """Kill the reading process; it writes nothing that could be lost."""
    process = _processes.pop(os.getpid(), None)
    if process is not None:
        with contextlib.suppress(OSError), process:
            process.kill()


def _read_exactly(stream: IO[bytes], count: int) -> bytearray:
    content = bytearray(count)
    view, at = memoryview(content), 0
    while at < count:
        found = stream.readinto(view[at:])  # type: ignore[attr-defined]
        if not found:
            raise EOFError
        at += found
    return content
