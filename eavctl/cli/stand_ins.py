"""Values of options that are not on the command line: from the environment and from ``eavctl.toml``.

Both are checked as strictly as the command line. ``eavctl.toml`` may have come with a downloaded folder, so
it cannot choose files to read, write or overwrite.
"""

from __future__ import annotations

import difflib
import json
import math
import reprlib
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from eavctl.cli.settings_places import SETTINGS_FILE, SETTINGS_PREFIX, variables
from eavctl.errors import UsageError

NOT_IN_FILE = frozenset(
    {
        "force",
        *("out", "predictions", "save", "rejected", "plot", "tensorboard"),
        *("model", "use", "init", "weights", "face_model"),
        *("eeg", "audio", "video", "files_from", "watch"),
        "dask",  # whoever answers there is sent names of files, and trusted as the user's own code is
    }
)
SET = "set"  # the option whose values can be a table too
TYPES: dict[str, tuple[tuple[type, ...], str]] = {  # by the first word of a type's name, of any typer
    "boolean": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "integer": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a text"),
    "text": ((str,), "a text"),
}

Options = Mapping[str, Mapping[str, Any]]
"""For each command its options and arguments, by the names used here."""
Values = dict[str, dict[str, Any]]


def stand_ins(commands: Mapping[str, Any]) -> Values:
    """Values by command and parameter, the environment's before those of ``eavctl.toml``.

    ``EAVCTL_JOBS`` and a top-level ``jobs`` apply to every command that has ``--jobs``;
    ``EAVCTL_EXTRACT_JOBS`` and ``jobs`` in the table ``[extract]`` apply to that command and take precedence.

    Parameters
    ----------
    commands : typer's commands, by their names.

    Raises
    ------
    UsageError : a name that no option has, or a value that the option does not take; in the file also an
        argument, or an option that chooses or overwrites files.
    """
    options = {command: _options(each) for command, each in commands.items()}
    found = _of_file(options)
    for command, values in _of_environment(options).items():
        found[command] |= values
    return {
        command: {options[command][name].name: value for name, value in values.items()}
        for command, values in found.items()
    }


def stood_in(error: Any) -> bool:
    """Whether the value that typer refuses comes from `stand_ins`."""
    source = error.ctx and error.param and error.ctx.get_parameter_source(error.param.name)
    return getattr(source, "name", "") == "DEFAULT_MAP"


def _options(command: Any) -> dict[str, Any]:
    """Parameters by the names of their options: ``dry_run`` for ``--dry-run``, ``json`` for ``--json``."""
    parameters = [each for each in command.params if not each.is_eager]  # not --help or --version
    return {max(each.opts, key=len).lstrip("-").replace("-", "_"): each for each in parameters}


def _of_environment(options: Options) -> Values:
    known: dict[str, list[tuple[str, str]]] = {}
    for is_shared in (True, False):
        for command, mine in options.items():
            prefix = SETTINGS_PREFIX + ("" if is_shared else f"{command}_".replace("-", "_"))
            for name in mine:
                known.setdefault(f"{prefix}{name}".upper(), []).append((command, name))
    given = variables()
    if strangers := sorted(given.keys() - known.keys()):
        near = _nearest(strangers[0], known)
        raise UsageError(f"{strangers[0]} in the environment names no option of a command{near}")
    found: Values = {command: {} for command in options}
    for variable, places in known.items():  # those of a single command last: they override the shared ones
        for command, name in places if variable in given else ():
            found[command][name] = _of_text(options[command][name], given[variable], variable)
    return found


def _of_text(parameter: Any, text: str, variable: str) -> Any:
    """A text as on the command line: split into words where an option can be repeated."""
    if not _is_many(parameter):
        return text
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{variable} in the environment: {error}") from None


def _of_file(options: Options) -> Values:
    content = _underscored(_content())
    commands = {command.replace("-", "_"): command for command in options}
    everything = set[str]().union(*options.values())
    if strangers := sorted(content.keys() - commands.keys() - everything):
        near = _nearest(strangers[0], [*commands, *everything])
        raise UsageError(f"{SETTINGS_FILE}: no command or option is named {strangers[0]}{near}")
    shared = {name: value for name, value in content.items() if name not in commands}
    return {
        command: _of_table(command, content.get(key, {}), shared, options[command])
        for key, command in commands.items()
    }


def _of_table(command: str, own: Any, shared: dict[str, Any], mine: Mapping[str, Any]) -> dict[str, Any]:
    """The file's values for one command: of its own table, and of the top level."""
    if not isinstance(own, dict):
        raise UsageError(f"{SETTINGS_FILE}: {command} is a command; set its options in a table [{command}]")
    own = _underscored(own)
    if strangers := sorted(own.keys() - mine.keys()):
        near = _nearest(strangers[0], mine)
        raise UsageError(f"{SETTINGS_FILE}: {command} has no option {strangers[0]}{near}")
    values = {name: value for name, value in shared.items() if name in mine} | own
    return {name: _of_toml(mine[name], name, value) for name, value in values.items()}


def _underscored(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in table.items()}


def _content() -> dict[str, Any]:
    if not SETTINGS_FILE.is_file():
        return {}
    import tomllib

    try:
        return tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise UsageError(f"{SETTINGS_FILE}: {error}") from error


def _of_toml(parameter: Any, name: str, value: Any) -> Any:
    kind = parameter.type.name.split()[0]
    if name in NOT_IN_FILE or kind not in TYPES or parameter.param_type_name == "argument":
        raise UsageError(
            f"{SETTINGS_FILE}: {name} cannot be set there, because it chooses or overwrites files, or "
            f"chooses machines; give it on the command line or as {SETTINGS_PREFIX}{name.upper()} in the "
            "environment"
        )
    if name == SET:
        value = _pairs(value)
    types, words = TYPES[kind]
    is_many = _is_many(parameter)
    items = value if is_many and isinstance(value, list) else [value]
    if isinstance(value, list) != is_many or not all(_is_one_of(types, each) for each in items):
        wanted = f"a list, each of it {words}" if is_many else words
        raise UsageError(f"{SETTINGS_FILE}: {name} must be {wanted}, not {reprlib.repr(value)}")
    return value


def _is_one_of(types: tuple[type, ...], value: Any) -> bool:
    """Whether a value has such a type itself (true is not a number) and, of a number, is finite."""
    if type(value) not in types:
        return False
    try:
        return float not in types or math.isfinite(value)
    except OverflowError:  # more digits than any float has
        return False


def _pairs(value: Any) -> Any:
    """Settings as the option ``--set`` takes them, from a list of such texts or from a table."""
    if isinstance(value, dict):
        value = [f"{key}={_as_json(each)}" for key, each in value.items()]
    for pair in value if isinstance(value, list) else ():
        if isinstance(pair, str) and (key := pair.partition("=")[0].strip()) in NOT_IN_FILE:
            raise UsageError(f"{SETTINGS_FILE}: {key} cannot be set there, because it chooses a file")
    return value


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value)
    except TypeError:  # a date
        return str(value)


def _is_many(parameter: Any) -> bool:
    return bool(getattr(parameter, "multiple", False)) or parameter.nargs != 1


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f". Did you mean {near[0]}?" if near else ""
