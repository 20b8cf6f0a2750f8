"""What a model file costs a process of its own: ``python -m eavctl.export.alone MODEL ROWS``.

Prints a JSON object: seconds until the model was loaded, imports included, and the peak of memory in MB after
it judged the rows one by one and together.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from eavctl.errors import DataError

BEGAN = time.perf_counter()
SINGLE = 4  # rows judged one by one
STATUS = Path(
    "/proc/self/status"
)  # its VmHWM is the peak of this process; that of getrusage has its parent's


class Alone(NamedTuple):
    """Seconds to load a model in a new process, and the peak of its memory in MB; None where unknown."""

    load_s: float
    peak_mb: float | None


def measure_alone(path: str | os.PathLike[str], x: object) -> Alone:
    """Load a model file in a process of its own and judge rows.

    Parameters
    ----------
    x : rows, as the model takes them: an array or `eavctl.classifiers.streams.Streams`.

    Raises
    ------
    DataError : the process fails, or crashes; the message has its last line.
    """
    import numpy as np

    from eavctl.classifiers.streams import Streams

    arrays = (*x.arrays, x.present) if isinstance(x, Streams) else (x,)
    with TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.npz"
        np.savez(rows, *arrays)
        words = [sys.executable, "-m", "eavctl.export.alone", os.fspath(path), str(rows)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise DataError(f"a process that judges rows by the model ended with {done.returncode}: {last}")
    return Alone(**json.loads(done.stdout))


def main(path: str, rows: str) -> None:
    """Load the model, judge the rows, and print what it cost."""
    import numpy as np

    from eavctl.classifiers.streams import Streams
    from eavctl.storage import artifacts

    model = artifacts.load(path)
    load_s = time.perf_counter() - BEGAN
    with np.load(rows) as stored:
        arrays = [stored[name] for name in stored.files]
    x: Any = Streams(tuple(arrays[:-1]), arrays[-1]) if len(arrays) > 1 else arrays[0]
    for row in range(min(SINGLE, len(x))):
        model.predict_proba(x[row : row + 1])
    model.predict_proba(x)
    found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text()) if STATUS.is_file() else None
    print(json.dumps(Alone(load_s, int(found[1]) / 1024 if found else None)._asdict()))


if __name__ == "__main__":
    main(*sys.argv[1:])
