"""Files that other packages carry, such as weights: found and checked without importing the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

from eavctl.errors import DataError

try:
    from _blake2 import blake2b  # hashlib loads OpenSSL too: 4 MB that a cold prediction saves
except ImportError:
    from hashlib import blake2b


class PackageFile(NamedTuple):
    """A file of one version of a package, none of whose dependencies is needed.

    Parameters
    ----------
    package, version : as pip names them.
    folder : name by which the package is imported.
    place : folders inside it, and the file's name.
    content : BLAKE2b of the file, 16 bytes, in hex.
    """

    package: str
    version: str
    folder: str
    place: tuple[str, ...]
    content: str

    @property
    def install(self) -> str:
        """The command that installs the package alone."""
        return f"pip install --no-deps {self.package}=={self.version}"

    def find(self) -> Path | None:
        """Where the file is; None where the package is not installed, or without it."""
        return find(self.folder, *self.place)

    def read(self, path: Path) -> bytes:
        """The content of the file at a path.

        Raises
        ------
        DataError : another file, or a damaged one.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        if blake2b(content, digest_size=16).hexdigest() != self.content:
            raise DataError(
                f"{path}: not the file of {self.package} {self.version}, or damaged: "
                f"{self.install} --force-reinstall"
            )
        return content


def find(folder: str, *place: str) -> Path | None:
    """The file at a place inside an importable package; None where there is none."""
    spec = importlib.util.find_spec(folder)  # imports nothing of the package
    folders = (spec and spec.submodule_search_locations) or ()
    paths = (Path(each).joinpath(*place) for each in folders)
    return next((path for path in paths if path.is_file()), None)
