"""Open a MATLAB file of any supported version."""

from __future__ import annotations

import os

from eavctl.errors import SignalError
from eavctl.signals.mat_file import MatFile, is_hdf5
from eavctl.signals.matlab5 import Matlab5File
from eavctl.signals.matlab_hdf5 import Hdf5File
from eavctl.storage.remote_tree import whole


def open_mat(path: str | os.PathLike[str]) -> MatFile:
    """Open a MATLAB file of version 5 (``-v6``, ``-v7``) or 7.3; only its headers are read.

    Raises
    ------
    SignalError : missing, empty, damaged, not a MATLAB file, or expanding implausibly on decompression.
    DataError : it is remote, and cannot be fetched.
    """
    whole(path)
    name = os.fspath(path)
    if not os.path.exists(name):
        raise SignalError(f"{name}: no such file")
    if not os.path.isfile(name):
        raise SignalError(f"{name}: not a file")
    if not os.path.getsize(name):
        raise SignalError(f"{name}: the file is empty")
    if is_hdf5(name):
        return Hdf5File(name)
    return Matlab5File(name)
