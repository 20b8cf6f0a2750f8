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
SQLITE_WAIT_S = 60.0  # for the lock of another process


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


def opened(storage: str) -> Any:
    """Open a storage of Optuna, which is created if it does not exist.

    Raises
    ------
    UsageError : not the URL of a database.
    DataError : a file of another kind, or one that cannot be written.
    """
    if not is_database(storage):
        journal.check(storage)
        backend = optuna.storages.journal.JournalFileBackend(storage, lock_obj=journal.JournalLock(storage))
        return optuna.storages.JournalStorage(backend)
    import sqlalchemy

    try:
        sqlalchemy.engine.make_url(storage).get_dialect()
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UsageError(f"{shown(storage)}: not the URL of a database, such as sqlite:///study.db") from None
    arguments: dict[str, Any] = {"timeout": SQLITE_WAIT_S} if storage.startswith("sqlite") else {}
    for _ in range(OPEN_TRIES - 1):
        try:
            return optuna.storages.RDBStorage(storage, engine_kwargs={"connect_args": arguments})
        except (sqlalchemy.exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
            if "exist" not in reason(error) and "UNIQUE" not in reason(error) and "lock" not in reason(error):
                raise
            time.sleep(OPEN_WAIT_S * random.random())
    return optuna.storages.RDBStorage(storage, engine_kwargs={"connect_args": arguments})


def reason(error: BaseException) -> str:
    """What a database says of a failure, in one line, without the statement that failed."""
    error = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    return str(getattr(error, "orig", None) or error).splitlines()[0]
