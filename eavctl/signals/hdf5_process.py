"""HDF5 files, read in a process of their own: its library crashes over some damaged files.

The process starts with the first file and reads all others too. A request is a line of JSON, its answer a
line of JSON and perhaps the bytes of an array; it ends when its input does. If it dies over a request, or
takes too long, the file is damaged, and the next request starts another process.
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

LONGEST_S = 120.0  # for an answer; a block of 16 MB comes from the slowest disk within it
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from eavctl.signals.hdf5_reader import serve; serve()"
)
_turn = threading.Lock()
_processes: dict[int, subprocess.Popen[bytes]] = {}  # by the process that asks: a fork starts its own


def ask(path: str, question: str, **details: Any) -> tuple[Any, bytearray]:
    """Ask the process about a file.

    Parameters
    ----------
    path, question, details : see `eavctl.signals.hdf5_reader.answer`.

    Returns
    -------
    The answer, and the bytes that come with it.

    Raises
    ------
    SignalError : the file cannot be read, or reading it ends the process.
    """
    whole = os.path.abspath(path)
    with _turn:
        said, content = _asked(path, json.dumps([whole, question, details]).encode() + b"\n")
    if said["error"]:
        raise SignalError(said["error"].replace(whole, path))
    return said["answer"], content


def _asked(path: str, line: bytes) -> tuple[dict[str, Any], bytearray]:
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    timeout = threading.Timer(LONGEST_S, process.kill)
    timeout.start()
    try:
        process.stdin.write(line)
        process.stdin.flush()
        said = json.loads(process.stdout.readline())
        return said, _exactly(process.stdout, said["n_bytes"])
    except (OSError, ValueError, EOFError):
        _stop()
        raise SignalError(f"{path}: damaged, the reader of HDF5 crashes over it or does not end") from None
    except BaseException:  # interrupted in the middle of an answer
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
    """End the process that this one started; it has nothing to lose."""
    process = _processes.pop(os.getpid(), None)
    if process is not None:
        with contextlib.suppress(OSError), process:
            process.kill()


def _exactly(stream: IO[bytes], count: int) -> bytearray:
    content = bytearray(count)
    view, at = memoryview(content), 0
    while at < count:
        found = stream.readinto(view[at:])  # type: ignore[attr-defined]
        if not found:
            raise EOFError
        at += found
    return content
