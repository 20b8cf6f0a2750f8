"""What several tests share, and an account of those that were skipped."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# One thread a test process: nested pools on two cores cost more than they give, and sums stay the same.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

REPOSITORY = Path(__file__).resolve().parent.parent
os.environ["PYTHONPATH"] = str(REPOSITORY)  # a process that a test starts elsewhere runs this checkout too

# Not left in the environment, where variables of this prefix are settings of the command line.
RECORDINGS = Path(os.environ.pop("EAVCTL_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
MUST_HAVE_RECORDINGS = os.environ.pop("EAVCTL_REQUIRE_DATA", "") == "1"
NO_RECORDINGS = f"no recordings in {RECORDINGS}: set EAVCTL_TEST_DATA"


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Where real recordings are looked for, whether there are some or not."""
    return RECORDINGS


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings beside the checkout, or that of ``EAVCTL_TEST_DATA``.

    Where there is none the test is skipped, or, with ``EAVCTL_REQUIRE_DATA=1``, an error.
    """
    if not RECORDINGS.is_dir():
        (pytest.fail if MUST_HAVE_RECORDINGS else pytest.skip)(NO_RECORDINGS)
    return RECORDINGS


@pytest.fixture(scope="session")
def model_meta() -> Callable[..., dict[str, Any]]:
    """Makes what a model file must say of itself, of a kind, with other facts."""

    def make(kind: str, **facts: Any) -> dict[str, Any]:
        shared = {"kind": kind, "training_hash": "ff", "versions": {}, "protocol": {"name": "group-kfold"}}
        if kind in ("fuse", "fusion"):
            return {**shared, "streams": [], **facts}
        features = {"modality": "audio", "features": "functionals", "features_version": 1}
        return {**shared, **features, "settings": {}, "rate": 16000, "features_hash": "aa", **facts}

    return make


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the skipped tests by their reasons, those without recordings first."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
    without = reasons.pop(NO_RECORDINGS, 0)
    if without:
        terminalreporter.write_line(f"{without} tests skipped for want of recordings in {RECORDINGS}")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} tests skipped: {reason}")
