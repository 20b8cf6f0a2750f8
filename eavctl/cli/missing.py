"""Packages that a command needs and that are not installed, as in an environment for prediction alone."""

from __future__ import annotations

import re

DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow"}  # those of another name than their module's


def advice(error: ModuleNotFoundError) -> str | None:
    """How to install what an import lacks, if eavctl's metadata name it; None for any other module."""
    from importlib import metadata

    module = (error.name or "").partition(".")[0]
    wanted = DISTRIBUTIONS.get(module, module)
    for requirement in metadata.requires("eavctl") or ():
        if re.split(r"[^\w-]", requirement, maxsplit=1)[0].replace("-", "_") != wanted.replace("-", "_"):
            continue
        extra = re.search(r"""extra == ["'](\w+)""", requirement)
        what = f"'eavctl[{extra[1]}]'" if extra else wanted
        return f"this needs {wanted}, which is not installed: pip install {what}"
    return None
