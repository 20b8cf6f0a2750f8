"""A local tree that stands for a remote folder, so that layouts walk it as one of this machine.

Folders, names and sizes are those of the remote folder. Small files that layouts read, such as manifests and
headers, have their content; recordings are placeholders: empty files of the true size, which nobody may
read. The worker that needs a recording fetches it (`fetched`) and removes it afterwards.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from eavctl.errors import DataError, EavctlError, RecordingWarning
from eavctl.storage import remote
from eavctl.storage.remote import Entry

LONGEST_NAME = 255  # bytes, on the file systems of Linux
PLACEHOLDER = 0  # the mode of files that have no content

T = TypeVar("T")
Stamp = list[int | str]


@dataclass(frozen=True)
class RemoteFolder:
    """A remote folder as workers get it; it can be pickled.

    Parameters
    ----------
    url : without a slash at its end.
    tree : the local tree that stands for it, which workers on other machines do not see.
    copies : the folder for copies of recordings, on the machine of the tree; empty for any.
    """

    url: str
    tree: str
    copies: str = ""

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class RemoteFile(os.PathLike[str]):
    """A file below a remote folder, as workers get it; as a path it is its URL.

    Parameters
    ----------
    folder, path : where it is, and its path there.
    beside : paths of files that are read with it.
    """

    folder: RemoteFolder
    path: str
    beside: tuple[str, ...] = ()

    def __fspath__(self) -> str:
        return f"{self.folder.url}/{self.path}"

    def __str__(self) -> str:
        return self.__fspath__()

    @property
    def placeholder(self) -> Path:
        """The local file that stands for it."""
        return Path(self.folder.tree, self.path)


@dataclass
class _Tree:
    """A remote folder, the local folder that stands for it, and what was found by the last listing."""

    url: str
    root: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    is_listed: bool = False  # not only some of its files are known


_trees: dict[str, _Tree] = {}  # of this process and its forks, by URL


# --- the tree ---------------------------------------------------------------------------------------------


def placed(path: str | os.PathLike[str], read: Collection[str], *, afresh: bool = True) -> Path:
    """The local path that stands for a data set: the path itself, or that of a tree.

    A folder is listed, and what has changed since it was listed last is brought up to date. Of a single file,
    such as a manifest, the tree is that of its folder.

    Parameters
    ----------
    read : endings, in lower case, of files that layouts read beside recordings, which need their content. A
        single file has its content whatever its ending.
    afresh : list a folder again that was listed before.

    Raises
    ------
    DataError : there is no such file or folder, or it cannot be listed or fetched.
    """
    if not remote.is_url(path):
        return Path(path)
    url = _without_slash(path)
    if not afresh and (tree := _trees.get(url)) and tree.is_listed and tree.root.is_dir():
        return tree.root
    if remote.is_folder(url):
        return _updated(url, read).root
    if not remote.exists(url):
        raise DataError(f"{url}: no such file or folder")
    folder, _, name = url.rpartition("/")
    place = _updated(_without_slash(folder), read).root / name
    whole(place)
    return place


def placed_alone(path: str | os.PathLike[str], read: Collection[str]) -> Path:
    """As `placed`, of a path that is probably a recording: nothing beside it is listed or fetched.

    Parameters
    ----------
    read : endings of files that need their content.
    """
    if not remote.is_url(path):
        return Path(path)
    url = _without_slash(path)
    if (entry := remote.entry_of(url)) is None:
        if not remote.is_folder(url):
            raise DataError(f"{url}: no such file or folder")
        return _tree(url).root
    folder, _, name = url.rpartition("/")
    if not _is_path(name):
        raise DataError(f"{url}: no file of this machine can have its name; rename it")
    tree = _tree(_without_slash(folder))
    if tree.entries.get(name) != entry:
        _change(tree, {**tree.entries, name: entry}, read)
    return tree.root / name


def known(url: str) -> Path:
    """The local path of a URL that was placed.

    Raises
    ------
    KeyError : it was not.
    """
    folder, _, name = _without_slash(url).rpartition("/")
    while (tree := _trees.get(_without_slash(folder))) is None or name not in tree.entries:
        folder, slash, above = folder.rpartition("/")
        if not slash:
            raise KeyError(url)
        name = f"{above}/{name}"
    return tree.root / name


def _without_slash(url: str | os.PathLike[str]) -> str:
    """A URL without slashes at its end, except for those after its scheme."""
    name = remote.url_of(url).rstrip("/")
    return remote.url_of(f"{name}/") if name.endswith(":") else name


def _tree(url: str) -> _Tree:
    """The tree of a folder as it was found last, or a new one."""
    tree = _trees.get(url)
    if tree is None or not tree.root.is_dir():
        import tempfile  # slow to import, as shutil below

        root = Path(tempfile.mkdtemp(dir=remote.scratch()), _name_of(url))
        root.mkdir()
        tree = _trees[url] = _Tree(url, root)
    return tree


def _updated(url: str, read: Collection[str]) -> _Tree:
    """The tree of a folder as it is now."""
    entries, n_left_out = _usable(remote.listed(url))
    if n_left_out:
        warnings.warn(
            f"{url}: {n_left_out} objects are left out: no folder can hold their names",
            RecordingWarning,
            stacklevel=4,
        )
    tree = _tree(url)
    _change(tree, entries, read)
    tree.is_listed = True
    return tree


def _change(tree: _Tree, entries: dict[str, Entry], read: Collection[str]) -> None:
    """Let a tree hold these files: placeholders, and with content those of the endings in ``read``."""
    for path in tree.entries.keys() - entries.keys():
        (tree.root / path).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a file may take the name of a folder that is empty now
            for folder in _folders_of(path):
                (tree.root / folder).rmdir()
    changed = {path: entry for path, entry in entries.items() if tree.entries.get(path) != entry}
    with_content = [path for path in changed if posixpath.splitext(path)[1].lower() in read]
    for folder in {os.path.dirname(path) for path in changed}:
        (tree.root / folder).mkdir(parents=True, exist_ok=True)
    tree.entries = {path: entry for path, entry in entries.items() if path not in changed}
    for path, entry in changed.items():
        (tree.root / path).unlink(missing_ok=True)
        _hold_place(tree.root / path, entry.size)
    parts = [(path, tree.root.parent / f"{number}.part") for number, path in enumerate(with_content)]
    remote.fetch_all(tree.url, parts)
    for path, part in parts:
        os.replace(part, tree.root / path)
    tree.entries = entries


def _name_of(url: str) -> str:
    """What the folder is called, for data sets are named by it."""
    name = posixpath.basename(url)
    return name if _is_path(name) else remote.scheme_of(url)


def _usable(entries: Mapping[str, Entry]) -> tuple[dict[str, Entry], int]:
    """The files whose keys are paths below a folder, and how many are not."""
    paths = [path for path in entries if _is_path(path)]
    folders = {folder for path in paths for folder in _folders_of(path)}
    kept = {path: entries[path] for path in paths if path not in folders}
    return kept, len(entries) - len(kept)


def _folders_of(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _is_path(path: str) -> bool:
    """Whether a key is a relative path that leads down, and no other key's spelling."""
    parts = path.split("/")
    return "\0" not in path and all(
        part not in ("", ".", "..") and len(os.fsencode(part)) <= LONGEST_NAME for part in parts
    )


def _hold_place(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PLACEHOLDER)
    try:
        os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


# --- what a path of the tree stands for -------------------------------------------------------------------


def _tree_of(path: str | os.PathLike[str]) -> tuple[_Tree, str] | None:
    """The tree that holds a path, and the path in it; None for any other."""
    name = os.path.normpath(os.fspath(path))
    for tree in _trees.values():
        top = os.fspath(tree.root)
        if name == top or name.startswith(top + os.sep):
            return tree, name[len(top) + 1 :]
    return None


@contextlib.contextmanager
def source_of(root: Path) -> Iterator[Path | RemoteFolder]:
    """What workers read the recordings below a data set's root from: the root itself, or a remote folder.

    What workers that were killed have left is removed at the end.
    """
    found = _tree_of(root)
    if found is None:
        yield root.absolute()  # a worker process may have another working folder
        return
    import tempfile

    tree, path = found
    url = f"{tree.url}/{path}" if path else tree.url
    with tempfile.TemporaryDirectory(dir=tree.root.parent, ignore_cleanup_errors=True) as copies:
        yield RemoteFolder(url, os.fspath(tree.root / path), copies)


def file_of(path: Path, beside: Iterable[Path] = ()) -> Path | RemoteFile:
    """What a worker reads a recording from: the path itself, or a remote file.

    Parameters
    ----------
    beside : paths of files that are read with it.
    """
    found = _tree_of(path)
    if found is None:
        return path
    tree, own = found
    folder = RemoteFolder(tree.url, os.fspath(tree.root))
    return RemoteFile(folder, own, tuple(os.path.relpath(each, tree.root) for each in beside))


def is_outside(root: Path, path: str) -> bool:
    """Whether a path that a manifest names leads out of the tree that holds the manifest."""
    found = _tree_of(root)
    return found is not None and _tree_of(root / path) is None


def told(text: str) -> str:
    """A message with URLs in place of the paths of trees."""
    for tree in _trees.values():
        text = text.replace(os.fspath(tree.root), tree.url)
    return text


@contextlib.contextmanager
def named_by_url() -> Iterator[None]:
    """In errors of the block, name files by their URLs, not by the paths of trees."""
    try:
        yield
    except EavctlError as error:
        error.args = tuple(told(each) if isinstance(each, str) else each for each in error.args)
        raise


def stamp_of(path: Path, entries: Mapping[str, Entry] | None = None) -> Stamp:
    """What changes with the content of a file: size and modification time, or size and version.

    Parameters
    ----------
    entries : by path in its tree; by default as of the last listing.

    Raises
    ------
    OSError : there is no such file.
    """
    found = _tree_of(path)
    if found is None:
        facts = path.stat()
        return [facts.st_size, facts.st_mtime_ns]
    tree, own = found
    entry = (tree.entries if entries is None else entries).get(own)
    if entry is None:
        raise FileNotFoundError(path)
    return [*entry]


def is_remote(path: Path) -> bool:
    """Whether a path is of a tree."""
    return remote.SCRATCH in os.fspath(path) and _tree_of(path) is not None


def listed_again(root: Path) -> dict[str, Entry]:
    """The files of the tree of a path as they are now, for `stamp_of`; the tree stays as it is."""
    found = _tree_of(root)
    return {} if found is None else _usable(remote.listed(found[0].url))[0]


# --- recordings -------------------------------------------------------------------------------------------


def whole(path: str | os.PathLike[str]) -> None:
    """Fetch a file of a tree in its place, if it is a placeholder, for a layout that reads recordings.

    Raises
    ------
    DataError : it cannot be fetched.
    """
    if is_remote(Path(path)) and _is_placeholder(path) and (found := _tree_of(path)) is not None:
        tree, own = found
        part = tree.root.parent / f"{os.urandom(4).hex()}.part"
        remote.fetch_all(tree.url, [(own, part)])
        os.replace(part, path)


def _is_placeholder(path: str | os.PathLike[str]) -> bool:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) and stat.S_IMODE(mode) == PLACEHOLDER


@contextlib.contextmanager
def fetched_below(root: Path | RemoteFolder, paths: Sequence[str]) -> Iterator[Path]:
    """Yield a local folder that holds files under their paths: the root itself, or a temporary folder.

    Parameters
    ----------
    paths : of a recording, and of the files that are read with it, below ``root``; or of several recordings,
        all of which exist. They are fetched at once.

    Raises
    ------
    DataError : one cannot be fetched, or has changed since it was listed. This is no fault of the recording,
        and no `SignalError`.
    """
    if isinstance(root, Path):
        yield root
        return
    tree = Path(root.tree)
    todo = [each for each in paths if not tree.is_dir() or _is_placeholder(tree / each)]
    if not todo:  # a layout has fetched it, or there is no such file
        yield tree
        return
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(dir=root.copies if os.path.isdir(root.copies) else remote.scratch()))
    try:
        for each in paths:
            (folder / each).parent.mkdir(parents=True, exist_ok=True)
            if each not in todo and (tree / each).is_file():
                shutil.copyfile(tree / each, folder / each)
        try:
            remote.fetch_all(root.url, [(posixpath.normpath(each), folder / each) for each in todo])
        except DataError:
            if tree.is_dir() or remote.exists(f"{root.url}/{paths[0]}"):
                raise  # else there is no such recording, which opening it will say
        for each in todo if tree.is_dir() else ():
            if (folder / each).stat().st_size != (tree / each).stat().st_size:
                raise DataError(f"{root.url}/{each}: changed while it was read; run again")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def fetched(file: T) -> Iterator[T | Path]:
    """Yield a local copy of a `RemoteFile`, as `fetched_below`, and anything else as it is."""
    if not isinstance(file, RemoteFile):
        yield file
        return
    with fetched_below(file.folder, [file.path, *file.beside]) as root:
        yield root / file.path
