"""Values of tables as the text that people see."""

from __future__ import annotations

import datetime
from typing import Any

WHOLE = 1e15  # below it a float holds every whole number, and is written as one


def as_text(value: Any) -> str | None:
    """A value as text: 7.0 is ``7``, midnight of a day is its date, and None or NaN is None.

    Raises
    ------
    TypeError : a value of another type than text, number, date or time.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float):
        if value != value:
            return None
        return str(int(value)) if value.is_integer() and abs(value) < WHOLE else repr(value)
    if isinstance(value, datetime.datetime):
        is_day = value.time() == datetime.time.min and value.tzinfo is None
        return value.date().isoformat() if is_day else value.isoformat(sep=" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return str(value)
    raise TypeError(f"a value of the type {type(value).__name__}")
