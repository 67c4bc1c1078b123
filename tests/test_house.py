"""The rooms of the package: imports point one way and come through doors; names as text lead somewhere."""

import ast
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from underload.course import CHECKOUT

SRC = CHECKOUT / "src" / "underload"
# Each room, and those that it may open. The top is free to open all; what it holds itself is the ground.
OPENS = {
    "serving": set(),
    "services": set(),
    "sandbox": set(),
    "loading": {"serving"},
    "teaching": {"loading", "serving", "services"},
    "judge": {"teaching", "loading", "serving", "services"},
    "authoring": {"judge"},
    "jobs": {"sandbox", "judge", "loading", "services"},
    "grading": {"jobs", "sandbox", "authoring", "judge"},
    "bench": {"loading", "serving", "services"},
}
HEAD = {"cli", "doctor", "study", "pytest_plugin"}  # what stands on top of the rooms, not below them
MODULE_NAME = re.compile(r"underload(\.[a-z_]+)+")

every_file = pytest.mark.parametrize(
    "path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC))
)


def imports(path: Path) -> list[tuple[str, str]]:
    """Return (module, name) of each import of ours in a file, those within functions too."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = [(each.name, "") for node in nodes if isinstance(node, ast.Import) for each in node.names]
    named = [
        (node.module, each.name) for node in nodes if isinstance(node, ast.ImportFrom) for each in node.names
    ]
    return [(module, name) for module, name in plain + named if module.partition(".")[0] == "underload"]


def room_of(path: Path) -> str:
    first = path.relative_to(SRC).parts[0]
    return first if first in OPENS else ""


def place_of(module: str, name: str) -> str:
    """Return the room, or the module of the top, that an import leads to."""
    return name if module == "underload" else module.split(".")[1]


def test_every_folder_is_a_room_that_is_spoken_of():
    assert {path.parent.name for path in SRC.glob("*/__init__.py")} == set(OPENS)


def test_the_arrows_make_no_circle():
    below: set[str] = set()
    while len(below) < len(OPENS):
        free = {room for room, opens in OPENS.items() if opens <= below} - below
        assert free, f"a circle among {set(OPENS) - below}"
        below |= free


@every_file
def test_imports_point_one_way(path):
    own = room_of(path)
    for module, name in imports(path):
        where = place_of(module, name)
        if own:
            assert where in OPENS[own] | {own} or where not in {*OPENS, *HEAD}, f"{own} opens {where}"
        elif path.stem not in HEAD | {"__init__"}:
            assert where not in OPENS, f"the ground stands on {where}"


@every_file
def test_a_room_is_entered_by_its_door(path):
    for module, name in imports(path):
        where = place_of(module, name)
        if where in OPENS and where != room_of(path) and module != "underload":
            assert module == f"underload.{where}", f"{module} is past the door"
            assert name in import_module(module).__all__, f"{module} does not offer {name}"


def test_the_generator_is_a_leaf():
    """What runs in Locust's process is imported by nothing else, and imports nothing that is large."""
    inside = set((SRC / "loading/generator").glob("*.py"))
    for path in set(SRC.rglob("*.py")) - inside:
        assert not [module for module, _ in imports(path) if "generator" in module], path
    taken = {module for path in inside for module, _ in imports(path)}
    assert {each for each in taken if "generator" not in each} <= {
        "underload.loading.outcome",
        "underload.loading.samples",
    }


def test_checks_of_labs_are_leaves_that_know_the_judge_alone():
    for path in sorted((CHECKOUT / "labs/checks").glob("*.py")):
        assert {module for module, _ in imports(path)} <= {"underload.judge"}, path


@every_file
def test_a_module_named_in_a_text_is_there(path):
    texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    for text in texts:
        if isinstance(text, str) and MODULE_NAME.fullmatch(text):
            assert find_spec(text), text


@pytest.mark.parametrize("room", ["", *(f".{name}" for name in OPENS)])
def test_every_door_opens(room):
    package = import_module(f"underload{room}")
    for name in package.__all__:
        getattr(package, name)
