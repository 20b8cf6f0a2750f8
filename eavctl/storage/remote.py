"""Files named by a URL, such as ``s3://bucket/feats.parquet``, read and written through fsspec.

Endpoints and credentials are those that fsspec and its packages find for themselves, in the environment and
in their files. A file is read from a whole local copy and written whole, so that all readers and writers of
the package work on local files alone.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

from eavctl.errors import DataError, EavctlError

URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/+)")
LOCAL_SCHEMES = ("file", "local")  # their paths begin with a slash
OF_ONE_PROCESS = ("memory",)  # schemes of files that other processes do not see
S3_SCHEMES = ("s3", "s3a")
INSTALL = "pip install 'eavctl[remote]'"
CHUNK_BYTES = 1 << 20
LOCK = "lock"  # a file in each folder of local copies
SCRATCH = "eavctl-remote-"  # begins the names of the folders of local copies
# What identifies a version of an object, in the words of different file systems; the first that is there.
VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "updated",
            "modified", "created")  # fmt: skip


class Entry(NamedTuple):
    """A remote file: its size in bytes, and what changes with its content, such as an ETag."""

    size: int
    version: str


class UrlPath(type(Path())):  # type: ignore[misc]
    """A path that may be a URL, whose two slashes `pathlib.Path` would make one."""

    def __str__(self) -> str:
        text = super().__str__()
        return url_of(text) if is_url(text) else str(text)


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a URL of any scheme, also with one slash after the scheme, as `pathlib` spells it."""
    name = os.fspath(path)
    match = URL.match(name)
    if match is None:
        return False
    return len(match[2]) > 1 or not os.path.lexists(f"{match[1]}:")  # a folder could have such a name


def url_of(path: str | os.PathLike[str]) -> str:
    """A URL with the two slashes after its scheme that `pathlib` makes one."""
    name = os.fspath(path)
    match = URL.match(name)
    if match is None or len(match[2]) > 1:
        return name
    return f"{match[1]}://{'/' if match[1].lower() in LOCAL_SCHEMES else ''}{name[match.end() :]}"


def scheme_of(url: str | os.PathLike[str]) -> str:
    """The scheme of a URL, in lower case, such as ``s3``."""
    match = URL.match(os.fspath(url))
    return match[1].lower() if match else ""


def file_system(url: str | os.PathLike[str]) -> tuple[Any, str]:
    """The file system of a URL, an ``fsspec.AbstractFileSystem``, and the path of the URL in it.

    Raises
    ------
    DataError : fsspec or the package of the scheme is not installed, or fsspec does not know the scheme.
    """
    name, scheme = url_of(url), scheme_of(url)
    try:
        from fsspec.core import url_to_fs
        from fsspec.registry import get_filesystem_class
    except ImportError:
        raise DataError(f"{name}: files named by a URL need fsspec, not installed: {INSTALL}") from None
    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        raise DataError(f"{name}: {_missing(scheme, error)}") from None
    except ValueError:
        raise DataError(f"{name}: fsspec knows no files of the scheme {scheme}://") from None
    with _told(name, "opened"):
        system, path = url_to_fs(name)
        return system, path


def _missing(scheme: str, error: ImportError) -> str:
    """What to install for a scheme."""
    cause: BaseException | None = error
    while cause is not None:
        if module := getattr(cause, "name", None):
            package = str(module).partition(".")[0]
            what = INSTALL if package in ("s3fs", "aiobotocore") else f"pip install {package}"
            return f"{scheme}:// needs {package}, not installed: {what}"
        cause = cause.__cause__ or cause.__context__
    return f"{scheme}:// cannot be read: {error}"


@contextlib.contextmanager
def _told(url: str, what: str) -> Iterator[None]:
    """Exceptions of file systems become a DataError of one line; packages raise their own, of any class."""
    try:
        yield
    except EavctlError:
        raise
    except FileNotFoundError:
        raise DataError(f"{url}: no such file or folder") from None
    except Exception as error:
        raise DataError(f"{url}: cannot be {what} ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission: {error.strerror or error}"
    text = str(getattr(error, "strerror", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


# --- what is there ----------------------------------------------------------------------------------------


def _info(url: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What a file system says of a file or folder as it is now; None where there is none."""
    system, path = file_system(url)
    with _told(url_of(url), "looked at"):
        system.invalidate_cache()
        try:
            found = system.info(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
    return dict(found)


def _entry(info: dict[str, Any]) -> Entry:
    version = next((info[key] for key in VERSIONS if info.get(key) is not None), "")
    return Entry(int(info.get("size") or 0), str(version))


def entry_of(url: str | os.PathLike[str]) -> Entry | None:
    """The file of a URL; None for a folder, and where there is nothing; errors as for `exists`."""
    info = _info(url)
    return None if info is None or info.get("type") == "directory" else _entry(info)


def exists(url: str | os.PathLike[str]) -> bool:
    """Whether there is such a file or folder; errors as for `file_system`, or it cannot be reached."""
    return _info(url) is not None


def is_folder(url: str | os.PathLike[str]) -> bool:
    """Whether it is a folder; errors as for `exists`."""
    info = _info(url)
    return info is not None and info.get("type") == "directory"


def is_file(url: str | os.PathLike[str]) -> bool:
    """Whether it is a file; errors as for `exists`."""
    return entry_of(url) is not None


def listed(url: str | os.PathLike[str]) -> dict[str, Entry]:
    """All files below a folder, at any depth, by their paths in it.

    Raises
    ------
    DataError : it cannot be listed.
    """
    system, path = file_system(url)
    with _told(url_of(url), "listed"):
        system.invalidate_cache()
        found = system.find(path, detail=True)
    top = f"{path.rstrip('/')}/"
    return {
        name.removeprefix(top): _entry(info)
        for name, info in found.items()
        if info.get("type") != "directory" and name.startswith(top) and not name.endswith("/")
    }


def check_target(url: str | os.PathLike[str]) -> None:
    """Check, before any work, that a file can be written, as far as that can be known without writing it.

    Of S3, an upload is begun and abandoned, which leaves nothing; of other object stores, only that there is
    the bucket.

    Raises
    ------
    DataError : it cannot be written.
    """
    system, path = file_system(url)
    if scheme_of(url) in S3_SCHEMES:
        with _told(url_of(url), "written"):
            handle = system.open(path, "wb", autocommit=False)
            try:
                handle.close()
            finally:
                with contextlib.suppress(Exception):  # a permission of its own
                    handle.discard()
                system.transaction.files.clear()  # which `open` has added it to
        return
    bucket, _, name = path.partition("/")
    if not bucket or not name:  # a path from the root
        return
    with _told(url_of(url), "looked at"):
        system.invalidate_cache()
        try:
            is_there = system.exists(bucket)
        except PermissionError:  # one may write to a bucket and not list it
            return
    if not is_there:
        raise DataError(f"{url_of(url)}: cannot be written (there is no bucket {bucket!r})")


# --- reading and writing ----------------------------------------------------------------------------------


class _Copies:
    """The folder of this process for local copies, and the copies in it."""

    folder: Path | None = None
    owner = 0
    lock: BinaryIO | None = None
    found: dict[str, tuple[Entry, Path]] = {}  # noqa: RUF012  # one for the process


def scratch() -> Path:
    """A folder for local copies, in the folder for temporary files, which is removed when the process ends.

    What killed processes left is removed when the next one makes its own.
    """
    if _Copies.folder is None or not _Copies.folder.is_dir():
        import tempfile

        _remove_abandoned()
        try:
            folder = Path(tempfile.mkdtemp(prefix=SCRATCH))
            _Copies.lock = open(folder / "new", "wb")  # noqa: SIM115  # held until the process ends
            fcntl.flock(_Copies.lock, fcntl.LOCK_EX)
            os.rename(folder / "new", folder / LOCK)  # locked when others see it
        except OSError as error:
            raise DataError(f"{tempfile.gettempdir()}: cannot be written ({error.strerror})") from error
        _Copies.folder, _Copies.owner, _Copies.found = folder, os.getpid(), {}
        atexit.register(_remove_scratch)
    return _Copies.folder


def _remove_scratch() -> None:
    import shutil

    if _Copies.folder is not None and _Copies.owner == os.getpid():  # not in a fork
        shutil.rmtree(_Copies.folder, ignore_errors=True)


def _remove_abandoned() -> None:
    """Remove the folders whose process has ended: nobody holds their lock."""
    import shutil
    import tempfile

    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError), open(folder / LOCK, "rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def cache_folder(url: str | os.PathLike[str]) -> Path:
    """The folder, in the user's cache folder, for what belongs to a URL and is to survive this process."""
    from hashlib import blake2b

    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache, "eavctl", blake2b(url_of(url).encode(), digest_size=16).hexdigest())


def local(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """A local file of the same content: the path itself, or, of a URL, a whole copy of the file as it is now.

    A copy is made once in a process, and again where the file has changed.

    Raises
    ------
    DataError : there is no such file, or it cannot be fetched.
    """
    if not is_url(path):
        return path
    url = url_of(path)
    info = _info(url)
    if info is None:
        raise DataError(f"{url}: no such file")
    if info.get("type") == "directory":
        raise DataError(f"{url}: a folder; name a file")
    entry = _entry(info)
    folder = scratch()
    known, copy = _Copies.found.get(url, (None, folder / f"{len(_Copies.found)}{Path(url).suffix}"))
    if known != entry or not entry.version:
        system, place = file_system(url)
        _get(system, [(place, copy)], url)
        _Copies.found[url] = entry, copy
    return copy


def fetch_all(folder: str, files: Sequence[tuple[str, Path]]) -> None:
    """Copy remote files to local ones, several at once; all or none.

    Parameters
    ----------
    folder : URL.
    files : path below the folder, and where to write it.

    Raises
    ------
    DataError : one cannot be fetched, or there is no space for it.
    """
    if files:
        system, top = file_system(folder)
        name = f"{folder}/{files[0][0]}" if len(files) == 1 else folder
        _get(system, [(f"{top.rstrip('/')}/{path}", to) for path, to in files], name)


def _get(system: Any, files: Sequence[tuple[str, Path]], name: str) -> None:
    try:
        with _told(name, "fetched"):
            try:
                system.get([path for path, _ in files], [os.fspath(target) for _, target in files])
            except FileNotFoundError:
                raise DataError(f"{name}: {_gone(name)}") from None
    except BaseException:
        for _, target in files:
            target.unlink(missing_ok=True)
        raise


def _gone(url: str) -> str:
    """Why a file that was found cannot be fetched."""
    if scheme_of(url) in OF_ONE_PROCESS:
        return f"not seen by this process; files of {scheme_of(url)}:// need one job, or copies by a fork"
    return "gone since it was listed; run again"


def upload(handle: IO[bytes], url: str | os.PathLike[str]) -> None:
    """Write the bytes of a local file to a URL, whole: a file that is there stays until all bytes are sent.

    Raises
    ------
    DataError : it cannot be written.
    """
    import shutil

    system, path = file_system(url)
    handle.seek(0)
    with _told(url_of(url), "written"):
        try:
            with system.transaction, system.open(path, "wb") as target:  # kept apart until the block ends
                shutil.copyfileobj(handle, target, CHUNK_BYTES)
        finally:
            system.invalidate_cache()
