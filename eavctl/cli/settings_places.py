"""Where values of options can be set besides the command line: environment variables and eavctl.toml.

Kept small: it is looked at on every start.
"""

from __future__ import annotations

import os
from pathlib import Path

SETTINGS_FILE = Path("eavctl.toml")  # in the working folder
SETTINGS_PREFIX = "EAVCTL_"  # of environment variables
# Used by the tests, and by images and scripts for the version that they install.
NO_SETTINGS = {"EAVCTL_TEST_DATA", "EAVCTL_REQUIRE_DATA", "EAVCTL_VERSION"}


def variables() -> dict[str, str]:
    """Environment variables that set options; an empty one counts as not set."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(SETTINGS_PREFIX) and value and name not in NO_SETTINGS
    }


def has_settings() -> bool:
    """Whether a value of any option is set in the environment or in ``eavctl.toml``."""
    return SETTINGS_FILE.is_file() or bool(variables())
