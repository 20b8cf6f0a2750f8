"""Cut the records of an extraction into batches, each of which is one call and one part file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from eavctl.signals.endings import is_idx

# Recordings of a batch. In small ones few are lost by a kill, and the last are spread evenly; with larger
# ones a million recordings have few parts, and a call is worth its way to another machine.
BATCH, LARGEST_BATCH, MANY_BATCHES = 8, 512, 2048
BATCH_BYTES = 16 << 20  # of files, after which a batch of `BATCH` recordings gets no more
PICTURES_BATCH = 512  # pictures of an idx file, each of which takes tens of microseconds


def chunks(records: Iterable[dict[str, Any]], n_records: int) -> Iterator[list[dict[str, Any]]]:
    """Cut records into batches, by nothing but their number and the sizes of their files.

    A run that resumes another cuts alike. Records of one file count its size once.
    """
    most = min(max(n_records // MANY_BATCHES, BATCH), LARGEST_BATCH)
    chunk, n_bytes = list[dict[str, Any]](), 0
    for record in records:
        if not chunk or record["path"] != chunk[-1]["path"]:
            n_bytes += sum((record["stamp"] or ())[::2])
        chunk.append(record)
        if is_idx(record["path"]):
            is_full = len(chunk) >= PICTURES_BATCH
        else:
            is_full = len(chunk) >= (BATCH if n_bytes > BATCH_BYTES else most)
        if is_full:
            yield chunk
            chunk, n_bytes = [], 0
    if chunk:
        yield chunk
