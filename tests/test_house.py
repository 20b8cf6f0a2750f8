"""The floors of the package: a module imports from its own floor or a lower one, and in no circle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import eavctl

ROOT = Path(eavctl.__file__).parent
FACE = "eavctl"  # offers functions of the stages
FLOORS = (  # from the lowest; rooms of one floor may import each other
    (
        "docstrings",
        "errors",
        "jobs",
        "memory",
        "printable",
        "progress",
        "ranks",
        "registry",
        "settings",
        "version",
    ),
    ("storage",),
    ("signals",),
    ("features", "encoders", "augmentations", "pretraining", "datasets", "evaluation", "classifiers"),
    ("extraction",),
    ("report", "fusion", "grounding", "export", "synthetic"),
    ("training", "packaged"),
    ("predicting", "explaining"),
    ("live", "serving"),
    ("stages",),
    ("cli",),
    ("__main__", FACE),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def _modules() -> dict[str, Path]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imports(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """Modules of the package that a module imports, at its top or in a function, for types alone or not."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from [name for name in (inner, node.module) if name in modules][:1]


def _graph() -> dict[str, set[str]]:
    modules = _modules()
    return {name: set(_imports(path, modules)) - {name} for name, path in modules.items()}


def _room(module: str) -> str:
    return module.partition(".")[2].partition(".")[0] or FACE


def test_every_room_has_a_floor():
    rooms = {_room(module) for module in _modules()}
    assert rooms <= FLOOR_OF.keys()


def test_no_module_imports_from_a_floor_above():
    upward = [
        f"{module} -> {used}"
        for module, found in _graph().items()
        for used in found
        if FLOOR_OF[_room(module)] < FLOOR_OF[_room(used)]
    ]
    assert upward == []


def test_no_modules_and_no_rooms_import_each_other_in_a_circle():
    graph = _graph()
    assert _circle(graph) is None
    rooms: dict[str, set[str]] = {}
    for module, found in graph.items():
        rooms.setdefault(_room(module), set()).update({_room(used) for used in found} - {_room(module)})
    assert _circle(rooms) is None


def _circle(graph: dict[str, set[str]]) -> list[str] | None:
    """A path that comes back to where it began, if there is one: what is left when leaves are taken off."""
    left = {node: set(found) for node, found in graph.items()}
    while leaves := {node for node, found in left.items() if not found & left.keys()}:
        left = {node: found for node, found in left.items() if node not in leaves}
    if not left:
        return None
    path = [min(left)]
    while True:
        path.append(min(left[path[-1]] & left.keys()))
        if path[-1] in path[:-1]:
            return path[path.index(path[-1]) :]


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": set()}, None),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
    ],
)
def test_circles_are_found(graph, found):
    assert _circle(graph) == found
