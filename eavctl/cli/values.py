"""Read the texts of options: settings, keys and events, given as ``KEY=VALUE``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eavctl.cli.console import say
from eavctl.errors import UsageError

if TYPE_CHECKING:
    from eavctl.datasets.choice import Choice
    from eavctl.datasets.events import Epochs
    from eavctl.grounding.whose import Whose


def read_pairs(pairs: Iterable[str], option: str, form: str = "KEY=VALUE") -> dict[str, str]:
    """Texts given as ``KEY=VALUE``.

    Parameters
    ----------
    form : how the option's help calls that, for the error.

    Raises
    ------
    UsageError : one is not of that form, or gives a key another value than one before.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        key, _, value = (part.strip() for part in pair.partition("="))
        if not (key and value):
            raise UsageError(f"{option} takes {form}, not {pair!r}")
        if found.setdefault(key, value) != value:
            raise UsageError(f"{option} gives {key} two values, {found[key]} and {value}: leave one out")
    return found


def read_values(pairs: Iterable[str] | None, option: str) -> dict[str, list[str]]:
    """Values of keys, given as ``KEY=VALUE,VALUE``.

    Raises
    ------
    UsageError : as `read_pairs`; or a value is empty.
    """
    texts = read_pairs(pairs or [], option)
    found = {key: [value.strip() for value in text.split(",")] for key, text in texts.items()}
    if not all(all(values) for values in found.values()):
        raise UsageError(f"{option} takes KEY=VALUE,VALUE, and a value is empty")
    return found


def read_choice(
    layout: str | None,
    columns: str | None,
    pattern: str | None,
    where: Iterable[str] | None,
    epochs: Epochs | None,
    *,
    distinct_names: bool = False,
) -> Choice:
    """The recordings that the shared options choose; how their data set was understood goes to stderr.

    Parameters
    ----------
    columns : what columns of a manifest mean, as ``COLUMN=KEY,COLUMN=KEY``.
    where : each as ``KEY=VALUE``.
    epochs : as `read_epochs` reads them.

    Raises
    ------
    UsageError : a text of another form, or options that exclude each other.
    """
    from eavctl.datasets.choice import Choice

    return Choice(
        layout,
        read_pairs(where or (), "--where"),
        epochs,
        distinct_names,
        read_pairs([part for part in (columns or "").split(",") if part.strip()], "--columns", "COLUMN=KEY"),
        pattern,
        say,
    )


def read_labels(text: str | None) -> dict[str, str | None]:
    """New names of classes, given as ``anger=angry,calm=``; None for a class that is left out.

    Raises
    ------
    UsageError : a part is not of that form, or a class is given two names.
    """
    found: dict[str, str | None] = {}
    for pair in (text or "").split(","):
        name, equals, new = (part.strip() for part in pair.partition("="))
        if pair.strip() and not (name and equals):
            raise UsageError(
                f"--labels takes NAME=CLASS, or NAME= to leave a class out, not {pair.strip()!r}"
            )
        if name and found.setdefault(name, new or None) != (new or None):
            raise UsageError(f"--labels gives {name} two names: leave one out")
    return found


def read_names(text: str | None) -> tuple[str, ...]:
    """Names given as ``NAME,NAME``; none where the option is not given.

    Raises
    ------
    UsageError : a name is empty.
    """
    if text is None:
        return ()
    found = tuple(name.strip() for name in text.split(","))
    if not all(found):
        raise UsageError(f"a list of names has an empty one: {text!r}")
    return found


def read_settings(pairs: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """Settings given as ``KEY=VALUE``, a value being JSON or, failing that, a text.

    Raises
    ------
    UsageError : as `read_pairs`.
    """
    return {key: _json_or_text(value) for key, value in read_pairs(pairs, option).items()}


def network_settings(pairs: Iterable[str] | None, contrastive: float) -> dict[str, Any]:
    """Settings of a fusion network: those of ``--set`` and, if not 0, the weight ``--contrastive``.

    Raises
    ------
    UsageError : as `read_pairs`.
    """
    return read_settings(pairs or []) | ({"contrastive": contrastive} if contrastive else {})


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # a thousand brackets are no setting either
        return value


def read_epochs(
    events: str | None,
    tmin: float | None,
    tmax: float | None,
    epoch: str | None,
    *,
    needs_classes: bool = True,
) -> Epochs | None:
    """Which events to cut at (``T1=left,T2=right``), and from when to when, if any.

    Parameters
    ----------
    tmin, tmax : in seconds from the onset of an event; None for the defaults of `Epochs`.
    epoch : both as one text (``0,4``), which old scripts have.
    needs_classes : an event must have a class; else its name alone (``T1``) is enough.

    Raises
    ------
    UsageError : one is not of that form, or cannot be meant.
    """
    if epoch is not None and (tmin is not None or tmax is not None):
        raise UsageError("--epoch is --tmin and --tmax in one: leave it out")
    if events is None:
        given = {"--tmin": tmin, "--tmax": tmax, "--epoch": epoch}
        if without := [name for name, value in given.items() if value is not None]:
            raise UsageError(f"{without[0]} needs --events")
        return None
    from eavctl.datasets.events import Epochs  # with Arrow, which judging a recording does not need

    if epoch is not None:
        try:
            tmin, tmax = (float(part) for part in epoch.split(","))
        except ValueError:
            raise UsageError(f"--epoch takes START,END in seconds from the event, not {epoch!r}") from None
    parts = [part for part in events.split(",") if part.strip()]
    named = [] if needs_classes else [part.strip() for part in parts if "=" not in part]
    labels = read_pairs([part for part in parts if needs_classes or "=" in part], "--events")
    return Epochs(dict.fromkeys(named) | labels, tmin, tmax)


def read_who(phrase: str | None, model: Path | None) -> Whose | None:
    """Whose face to follow, by the options ``--who`` and ``--who-model``; None for the largest.

    Raises
    ------
    UsageError : the phrase is empty, or there is none for the model.
    DataError : no such model, or it knows no word of the phrase.
    """
    if phrase is None:
        if model is not None:
            raise UsageError(f"--who-model {model} needs --who, such as --who 'the woman on the left'")
        return None
    if not phrase.strip():
        raise UsageError("--who is empty; give a phrase, such as --who 'the woman on the left'")
    from eavctl.grounding.whose import Whose
    from eavctl.packaged.models import GROUND

    return Whose.of(phrase.strip(), model or GROUND)
