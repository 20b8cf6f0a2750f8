"""TensorRT: the ``trtexec`` command that builds an engine from an exported model, and running it.

Options are those of the documentation of TensorRT 10 [1]_ and 11 [2]_. Version 11 removed the options that
choose a precision: networks are strongly typed, so that the engine has the precision of the file.

References
----------
.. [1] https://docs.nvidia.com/deeplearning/tensorrt/10.16.1/api/tensorrt-8x-to-10x-trtexec.html
.. [2] https://docs.nvidia.com/deeplearning/tensorrt/11.0.0/api/migration/tensorrt-10x-to-11x-trtexec.html
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from eavctl.classifiers.onnx_model import PRESENT
from eavctl.errors import DataError, UsageError
from eavctl.export.inputs import Input, inputs_of
from eavctl.storage.metadata import ModelMeta

VERSIONS = (10, 11)
TRTEXEC = "trtexec"
WORKSPACE_MB = 4096
BATCHES = (1, 8, 32)  # smallest, optimal and largest batch of the engine
LENGTHS = (0.25, 1.0, 4.0)  # the same of a free time axis, as multiples of the training's window
PROFILES = ("min", "opt", "max")
# Options of TensorRT 10 for each precision of a file; --fp16 and --int8 allow a precision beside float32.
PRECISIONS_OF_10 = {"float32": ("--fp16",), "float16": ("--fp16",), "int8": ("--int8", "--fp16")}
BANNER = re.compile(r"\[TensorRT v(\d+)\]")  # 10.3.0 is v100300, and 8.6.1 is v8601
LONG_BANNER = 6  # digits from version 10 on

Shape = tuple[tuple[int, ...], ...]  # of one input: the smallest, the optimal and the largest


def shapes_of(meta: ModelMeta) -> dict[str, Shape]:
    """The shapes of each input of an exported model that an engine is built for.

    Where time is free, the training's window is the optimal length.
    """
    inputs = inputs_of(meta)
    shapes = {
        each.name: tuple((batch, *_row(each, length)) for batch, length in zip(BATCHES, LENGTHS, strict=True))
        for each in inputs
    }
    if len(inputs) > 1:
        shapes[PRESENT] = tuple((batch, len(inputs)) for batch in BATCHES)
    return shapes


def _row(each: Input, length: float) -> tuple[int, ...]:
    """The shape of a row whose free axis is this many times as long as in the training."""
    return tuple(
        max(each.shortest, round(length * n)) if axis == each.free_axis else n
        for axis, n in enumerate(each.shape)
    )


def command(
    version: int,
    model: str | os.PathLike[str],
    engine: str | os.PathLike[str],
    shapes: Mapping[str, Shape],
    precision: str,
) -> list[str]:
    """The words of the ``trtexec`` command that builds an engine.

    Parameters
    ----------
    version : major version of TensorRT, of `VERSIONS`.
    model, engine : the exported model, and the file to write.
    shapes : see `shapes_of`.
    precision : of the exported model: ``float32``, ``float16`` or ``int8``.

    Raises
    ------
    UsageError : another version of TensorRT.
    """
    if version not in VERSIONS:
        raise UsageError(f"--tensorrt takes {' or '.join(map(str, VERSIONS))}, not {version}")
    profiles = [
        f"--{name}Shapes="
        + ",".join(f"{given}:{'x'.join(map(str, shape[i]))}" for given, shape in shapes.items())
        for i, name in enumerate(PROFILES)
    ]
    return [
        TRTEXEC,
        f"--onnx={os.fspath(model)}",
        f"--saveEngine={os.fspath(engine)}",
        *(PRECISIONS_OF_10[precision] if version == 10 else ()),
        f"--memPoolSize=workspace:{WORKSPACE_MB}",
        *profiles,
    ]


def installed_version() -> int | None:
    """Major version of the ``trtexec`` on the path, as it states it; None if there is none.

    Raises
    ------
    DataError : it states no version.
    """
    if shutil.which(TRTEXEC) is None:
        return None
    shown = subprocess.run([TRTEXEC, "--help"], capture_output=True, text=True, check=False)
    found = BANNER.search(shown.stdout + shown.stderr)
    if found is None:
        raise DataError(f"{TRTEXEC} --help states no version of TensorRT; is it NVIDIA's?")
    digits = found[1]
    return int(digits) // (10_000 if len(digits) >= LONG_BANNER else 1000)


def check_version(version: int) -> bool:
    """Whether a ``trtexec`` of this major version is installed.

    Raises
    ------
    UsageError : one of another version is.
    """
    installed = installed_version()
    if installed not in (None, version):
        raise UsageError(f"--tensorrt {version}: the installed {TRTEXEC} is of TensorRT {installed}; name it")
    return installed is not None


def build(words: Sequence[str]) -> None:
    """Run a command of `command`.

    Raises
    ------
    DataError : it fails; the message has its last line.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise DataError(f"{TRTEXEC} ended with {done.returncode}: {lines[-1] if lines else 'no output'}")
