"""Worker processes that end early leave no half-written file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from eavctl.storage import files


@contextlib.contextmanager
def ended_with(out: Path, pattern: str) -> Iterator[None]:
    """Where the block fails, kill joblib's workers, and remove their temporary files.

    Parameters
    ----------
    out : folder to which the workers write.
    pattern : of the folders in ``out`` that hold their files, as of `Path.glob`.
    """
    try:
        yield
    except BaseException:
        from joblib.externals.loky import get_reusable_executor

        with contextlib.suppress(OSError):  # pipes to workers that have ended already
            get_reusable_executor().shutdown(wait=True, kill_workers=True)
        for folder in out.glob(pattern):
            files.clear_leftovers(folder)
        raise
