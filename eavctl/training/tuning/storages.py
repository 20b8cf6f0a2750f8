"""Storages of studies: a journal file, or a database of any kind that SQLAlchemy knows."""

from __future__ import annotations

import random
import time
from typing import Any

import optuna

from eavctl.errors import UsageError
from eavctl.training.tuning import journal

OPEN_TRIES = 10  # processes that create the tables of one database at once disturb each other
OPEN_WAIT_S = 0.2
RACES = ("exist", "UNIQUE", "unique", "lock")  # words of the errors that this causes
SQLITE_WAIT_S = 60.0  # for the lock of another process
IN_MEMORY = (None, "", ":memory:")  # names of such databases of SQLite


def is_database(storage: str) -> bool:
    """Whether a storage is the URL of a database, and not the path of a journal."""
    return "://" in storage


def shown(storage: str) -> str:
    """The storage as text for people: a URL without its password."""
    if not is_database(storage):
        return storage
    import sqlalchemy

    try:
        return sqlalchemy.engine.make_url(storage).render_as_string(hide_password=True)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # nobody knows where a password would be
        return storage.partition("://")[0] + "://..."


def check(storage: str) -> None:
    """Check a storage without writing to it or connecting with its database.

    Raises
    ------
    UsageError : a stream, not the URL of a database, one in memory, or the package of this database is not
        installed.
    DataError : a file of another kind, or one that cannot be written.
    """
    if not is_database(storage):
        journal.check(storage)
        return
    import sqlalchemy

    try:
        url = sqlalchemy.create_engine(storage).url
    except ImportError as error:
        raise UsageError(f"{shown(storage)}: {error}; install the package of this database") from error
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UsageError(f"{shown(storage)}: not the URL of a database, such as sqlite:///study.db") from None
    if url.get_backend_name() != "sqlite":
        return
    if url.database in IN_MEMORY:
        raise UsageError(f"{storage}: a database in memory, which nothing could continue; name a file")
    journal.check_folder(url.database)


def file_of(storage: str) -> str | None:
    """The file of a storage that `check` accepts; None for a database on a server."""
    if not is_database(storage):
        return storage
    import sqlalchemy

    url = sqlalchemy.engine.make_url(storage)
    return url.database if url.get_backend_name() == "sqlite" else None


def opened(storage: str) -> Any:
    """Open a storage of Optuna, which is created if it does not exist.

    Raises
    ------
    UsageError, DataError : as `check`.
    """
    check(storage)
    if is_database(storage):
        return _database(storage)
    backend = optuna.storages.journal.JournalFileBackend(storage, lock_obj=journal.JournalLock(storage))
    return optuna.storages.JournalStorage(backend)


def _database(url: str) -> Any:
    import sqlalchemy

    arguments: dict[str, Any] = {"timeout": SQLITE_WAIT_S} if url.startswith("sqlite") else {}
    n_tries = 0
    while True:
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": arguments})
        except (sqlalchemy.exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
            n_tries += 1
            if n_tries == OPEN_TRIES or not any(word in reason(error) for word in RACES):
                raise
            time.sleep(OPEN_WAIT_S * random.random())


def reason(error: BaseException) -> str:
    """What a database says of a failure, in one line, without the statement that failed."""
    error = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    return str(getattr(error, "orig", None) or error).splitlines()[0]
