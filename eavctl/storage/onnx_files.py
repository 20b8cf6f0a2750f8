"""Exported models: ONNX files that carry the whole meta of the model file that they were exported from.

Meta and checksum are entries of ``metadata_props``. They are read by `eavctl.storage.protobuf`, so that a
prediction imports neither ``onnx`` nor ``torch``. Only files of one part are written and read: a file that
names others, which could be any on the disk, is refused.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from eavctl.errors import DataError
from eavctl.storage import files
from eavctl.storage.metadata import NOT_EXPORTED
from eavctl.storage.protobuf import Value, as_bytes, as_text, fields
from eavctl.storage.provenance import canonical_json
from eavctl.version import __version__

PRODUCER = "eavctl"
META, CHECKSUM = "eavctl", "eavctl_checksum"  # names in metadata_props
LARGEST = 2_000_000_000  # bytes of weights: a protocol buffer has 2**31 at most, and holds the graph too

METADATA, KEY, VALUE = 14, 1, 2  # fields of the model, and of an entry
DATA_LOCATION, EXTERNAL_DATA = 14, 13  # fields of a tensor
# Messages that hold tensors, and in which fields, by the numbers in onnx.proto.
PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 10: "tensor", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
}
# Fields of further code: functions, and graphs of branches and loops, which may never end. None is written.
CODE = {"model": {25}, "attribute": {6, 11}}


class OnnxFile(NamedTuple):
    """An exported model, as it is in its file.

    Parameters
    ----------
    meta : of the model file that it was exported from, with the facts of the export under ``export``.
    content : the whole file, as onnxruntime takes it.
    """

    meta: dict[str, Any]
    content: bytes


def read(path: str | os.PathLike[str]) -> OnnxFile:
    """Read an exported model and verify its checksum.

    Raises
    ------
    DataError : no such file, damaged, not written by eavctl, or of several parts.
    """
    with files.opened(path) as handle:
        content = handle.read()
    try:
        return _parsed(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: the model is damaged ({error}); copy or export it again") from None


def _parsed(content: bytes) -> OnnxFile:
    found = list(fields(memoryview(content)))
    entries = dict(_entry(as_bytes(value)) for number, value in found if number == METADATA)
    if not entries.keys() >= {META, CHECKSUM}:
        raise DataError("an ONNX file without eavctl's metadata; write one with 'eavctl export'")
    if entries[CHECKSUM] != _checksum(entries[META], found):
        raise ValueError("its checksum does not fit")
    _require_plain(memoryview(content), "model")
    meta = json.loads(entries[META])
    if not isinstance(meta, dict):
        raise ValueError("its metadata are no object")
    return OnnxFile(meta, content)


def _entry(content: memoryview) -> tuple[str, str]:
    """Name and value of an entry of ``metadata_props``."""
    found = {number: as_text(value) for number, value in fields(content)}
    return found.get(KEY, ""), found.get(VALUE, "")


def _checksum(meta: str, found: Iterable[tuple[int, Value]]) -> str:
    """CRC-32 of the meta, and of everything in the file but its ``metadata_props``."""
    crc = zlib.crc32(meta.encode())
    for number, value in found:
        if number != METADATA:
            crc = zlib.crc32(f" {number} ".encode(), crc)
            crc = zlib.crc32(str(value).encode() if isinstance(value, int) else value, crc)
    return f"{crc:08x}"


def _require_plain(content: memoryview, kind: str) -> None:
    """Raise a DataError where a message holds a tensor whose values are in another file, or further code."""
    if kind == "tensor":
        found = dict(fields(content))
        if EXTERNAL_DATA in found or found.get(DATA_LOCATION):
            raise DataError("refused: an ONNX file that reads weights from other files")
        return
    for number, value in fields(content):
        if number in CODE.get(kind, ()):
            raise DataError(
                "refused: an ONNX file with branches, loops or functions, which eavctl never writes"
            )
        if number in PARTS[kind]:
            _require_plain(as_bytes(value), PARTS[kind][number])


def serialise(proto: Any, meta: Mapping[str, Any]) -> bytes:
    """The bytes of an exported model; equal graphs and metas give equal bytes.

    Parameters
    ----------
    proto : ``onnx.ModelProto``, whose weights are in it; its ``metadata_props`` are replaced.
    meta : of the model file, with the facts of the export under ``export``.

    Raises
    ------
    DataError : it is larger than an ONNX file of one part can be.
    """
    import onnx

    about = canonical_json({key: value for key, value in meta.items() if key not in NOT_EXPORTED})
    written = onnx.ModelProto()
    written.CopyFrom(proto)
    written.producer_name, written.producer_version = PRODUCER, __version__
    written.ClearField("metadata_props")
    if sum(len(each.raw_data) for each in written.graph.initializer) > LARGEST:
        raise DataError("the exported model is larger than 2 GB, which an ONNX file of one part cannot be")
    bare = written.SerializeToString(deterministic=True)
    checksum = _checksum(about, fields(memoryview(bare)))
    for name, value in ((META, about), (CHECKSUM, checksum)):
        written.metadata_props.add(key=name, value=value)
    content: bytes = written.SerializeToString(deterministic=True)
    return content
