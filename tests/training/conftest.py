"""Trainings in which support vector machines try few settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest


@pytest.fixture(autouse=True)
def _few_settings(few_settings: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    with few_settings():
        yield
