"""What several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# One thread a test process: nested pools on two cores cost more than they give, and sums stay the same.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings beside the checkout (or ``EAVCTL_TEST_DATA``); skips where there is none."""
    folder = Path(os.environ.get("EAVCTL_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recordings in {folder}: set EAVCTL_TEST_DATA")
    return folder
