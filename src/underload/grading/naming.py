"""What names tell: whose a file is and which lab it is for, as platforms, browsers and editors name files."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

NOTEBOOK, ARCHIVE = ".ipynb", ".zip"
OF_THE_SYSTEM = {"__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini"}  # beside all that begins with a dot

# "Doe Jane_123456_assignsubmission_file_", a folder, or with the file's name behind it. The number is of
# the student in this one assignment.
MOODLE = re.compile(
    r"(?P<student>.+?)_(?P<number>\d+)_assignsubmission_(?:file|onlinetext)(?:_(?P<file>.*))?", re.DOTALL
)
# "doejane_LATE_123_456_01-blocking-1.ipynb": the numbers of the student and of the file.
CANVAS = re.compile(r"(?P<student>[^_].*?)_(?:LATE_)?(?P<number>\d+)_\d+_(?P<file>.+)", re.DOTALL)
# "alice (1)" of a browser, "alice-Copy1" of JupyterLab, "alice copy 2" and "alice - Copy" of file managers.
COPY = re.compile(r"(?:\s?\(\d{1,3}\)|-Copy\d{0,3}|(?: -)? copy(?: ?\(?\d{1,3}\)?)?)+$", re.IGNORECASE)
SEPARATORS = " ._-"


@dataclass(frozen=True)
class Owner:
    """Who handed something in.

    Attributes:
        student: the name.
        number: that a learning platform gives, which tells two students of one name apart; else nothing.
    """

    student: str
    number: str = ""


def is_notebook(name: str) -> bool:
    """Tell whether a name is a notebook's. What bears it may be a link, a folder, or a pipe."""
    return name.lower().endswith(NOTEBOOK)


def is_archive(name: str) -> bool:
    """Tell whether a name is a zip archive's."""
    return name.lower().endswith(ARCHIVE)


def is_ignored(name: str) -> bool:
    """Tell whether a name is of a file that no one hands in: hidden, or left by an operating system."""
    return name.startswith(".") or name in OF_THE_SYSTEM


def platform_owner(name: str, is_folder: bool = False) -> Owner | None:
    """Return who a learning platform says a file or a folder is of, or nothing if no platform named it."""
    if match := MOODLE.fullmatch(name):
        return Owner(match["student"].replace("_", " ").strip(), match["number"])
    if not is_folder and (match := CANVAS.fullmatch(name)):
        return Owner(match["student"], match["number"])
    return None


def owner(places: Sequence[str], labs: Sequence[str]) -> Owner | None:
    """Return whose a file is, if its names say: the outermost on the way to it that names a student decides.

    What is further in was named by the student, and could name anybody. A learning platform's name holds the
    student's; any other is the student's own, without the name of a lab, and of a file without its ending
    and the mark of a copy. A folder, an archive or a file that is named as a lab, and no more, names nobody.

    Args:
        places: the names on the way, an archive's among them, the file's last; of a folder that is nothing.
        labs: the stems of all labs.
    """
    named = (_named(name, place < len(places) - 1, labs) for place, name in enumerate(places))
    return next(filter(None, named), None)


def containers(files: Iterable[Sequence[str]], labs: Sequence[str]) -> set[tuple[str, ...]]:
    """Return the folders and archives, by the names on the way to them, that hold several students.

    These are downloads of a learning platform, in which it named everything, if all that lies on top is such
    or was named by it; and an archive that lies there alone, if it holds notebooks of more than one student.

    Args:
        files: the names on the way to each file.
        labs: the stems of all labs.
    """
    tops = defaultdict(list)
    for first, *below in files:
        if below or _may_hold(first):
            tops[first].append(below)
    downloads = {top for top, below in tops.items() if all(map(_is_platforms, below))}
    if all(top in downloads or _is_nobodys([top, *below[0]], labs) for top, below in tops.items()):
        return {(top,) for top in downloads}
    [(top, below), *others] = tops.items()
    below = [each for each in below if each and _may_hold(each[-1])]
    if others or not is_archive(top) or not below:
        return set()
    around = [top]
    while len({each[0] for each in below}) == 1 and all(len(each) > 1 for each in below):
        around.append(below[0][0])
        below = [each[1:] for each in below]
    held = {owner(each, labs) for each in below} - {None}
    several = len(held) > 1 or any(each.number for each in held)
    return {tuple(around[:depth]) for depth in range(1, len(around) + 1)} if several else set()


def lab_in(name: str, labs: Sequence[str]) -> str:
    """Return the one lab that a name holds, or nothing if it holds none or several."""
    found = [lab for lab in labs if _lab_pattern(lab).search(name)]
    return found[0] if len(found) == 1 else ""


def _may_hold(name: str) -> bool:
    return is_notebook(name) or is_archive(name)


def _is_platforms(places: Sequence[str]) -> bool:
    """Tell whether a learning platform gave the first of the names on the way to a file."""
    return bool(places) and bool((_named(places[0], len(places) > 1, ()) or Owner("")).number)


def _is_nobodys(places: Sequence[str], labs: Sequence[str]) -> bool:
    """Tell whether no student can have given the first of the names on the way to a file."""
    return _is_platforms(places) or _named(places[0], len(places) > 1, labs) is None


def _named(name: str, is_around: bool, labs: Sequence[str]) -> Owner | None:
    """Return the student that a name names; ``is_around`` if a folder or an archive bears it."""
    is_folder = is_around and not is_archive(name)
    if found := platform_owner(name, is_folder):
        return found
    student = _without_lab(name if is_folder else _bare(name), labs)
    return Owner(student) if student else None


def _without_lab(name: str, labs: Sequence[str]) -> str:
    lab = lab_in(name, labs)
    if not lab:
        return "" if re.fullmatch(r"lab[ _-]*\d+", name, re.IGNORECASE) else name
    rest = _lab_pattern(lab).sub("", COPY.sub("", name)).strip(SEPARATORS)
    return "" if rest.lower() == "lab" else rest


@cache
def _lab_pattern(lab: str) -> re.Pattern[str]:
    words = "[ _-]".join(map(re.escape, lab.split("-")))
    return re.compile(rf"(?<![^\W_]){words}(?![^\W_])", re.IGNORECASE)


def _bare(name: str) -> str:
    """Return a file's name without its ending and the mark of a copy."""
    stem = name.rpartition(".")[0] or name
    return COPY.sub("", stem) or stem
