"""The library of the Lab Streaming Layer, an optional dependency."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from eavctl.errors import UsageError
from eavctl.live.chunk import SourceError

CONFIGURATIONS = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")  # where liblsl looks
QUIET = "[log]\nlevel = -3\n"  # fatal errors only


def load_lsl(name: str) -> Any:
    """Import pylsl.

    Parameters
    ----------
    name : what needs it, for errors.

    Raises
    ------
    UsageError : it is not installed.
    SourceError : the library under it is not.
    """
    try:
        import pylsl
    except ImportError as error:
        raise UsageError(f"{name}: pylsl is not installed: pip install 'eavctl[live]'") from error
    except RuntimeError as error:
        raise SourceError(f"{name}: {' '.join(str(error).split())}") from error
    return pylsl


def quieten_lsl(lsl: Any) -> None:
    """Keep liblsl from logging to stderr, for the whole process, unless the user has configured it.

    Parameters
    ----------
    lsl : what `load_lsl` returned, before anything else of it was used.
    """
    is_configured = "LSLAPICFG" in os.environ or any(
        Path(each).expanduser().exists() for each in CONFIGURATIONS
    )
    if not is_configured and hasattr(lsl, "set_config_content"):
        lsl.set_config_content(QUIET)
