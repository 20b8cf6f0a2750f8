"""scipy's compiled modules, loaded without the packages around them, which are slow to import."""

from __future__ import annotations

import importlib.util
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any


def load_kernel(*place: str) -> Any:
    """Load a compiled module of scipy without importing its package.

    Parameters
    ----------
    place : names of the folders below scipy, and of the module.

    Returns
    -------
    The module; None if this version of scipy has it elsewhere.
    """
    package = importlib.util.find_spec("scipy")
    if package is None or not package.submodule_search_locations:
        return None
    folder = Path(package.submodule_search_locations[0]).joinpath(*place[:-1])
    spec = PathFinder.find_spec(place[-1], [str(folder)])
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError:
        return None
    return module
