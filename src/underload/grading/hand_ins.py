"""Submissions: which notebooks a folder holds, whose and for which lab each is, and how it is opened."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nbformat import NotebookNode

from underload.authoring import lab_stems
from underload.errors import UnderloadError
from underload.grading.intake import LINKED, Rejected, content_of, parse


@dataclass(frozen=True, order=True)
class Submission:
    """One notebook that was handed in.

    Attributes:
        student: whose it is, as text that any file can hold.
        lab: the lab it is for, such as ``01-blocking``; what it is called instead if it is for none.
        path: the file.
        problem: why it cannot be graded, a sentence, as far as that shows without reading it.
    """

    student: str
    lab: str
    path: Path
    problem: str = ""


def find(submissions: Path, labs: Path) -> list[Submission]:
    """Return what was handed in, in order of student and lab, each pair of these once.

    Args:
        submissions: a folder of ``student/NN-name.ipynb``, of one student's ``NN-name.ipynb``, or of loose
            ``student.ipynb`` that say which lab they are; or a single notebook.
        labs: the folder of the labs.

    Raises:
        UnderloadError: there is no such folder, or nothing in it.
    """
    stems = lab_stems(labs)
    if submissions.is_dir():
        found = _in_folder(submissions, stems)
    elif os.path.lexists(submissions):
        found = [_loose(submissions, submissions.absolute().parent, stems)]
    else:
        raise UnderloadError(f"There is no {submissions}: give the folder that holds the submissions.")
    if not found:
        raise UnderloadError(
            f"There is no notebook in {submissions}: give a folder of student/NN-name.ipynb files."
        )
    return sorted(_distinct(found, submissions))


def read(submission: Submission, root: Path) -> tuple[NotebookNode, str]:
    """Return a submitted notebook without its outputs, and the SHA-256 of its file.

    Args:
        submission: what `find` found.
        root: the folder (or the file) that was searched; nothing outside it is read.

    Raises:
        Rejected: it cannot be graded; the reason says what to do.
    """
    if submission.problem:
        raise Rejected(submission.problem)
    content = content_of(submission.path, root if root.is_dir() else root.parent)
    digest = hashlib.sha256(content).hexdigest()
    try:
        notebook = parse(content)
    except Rejected as rejected:
        raise Rejected(rejected.reason, digest) from None
    said = notebook.metadata.underload.lab
    if said and said != submission.lab:
        raise Rejected(
            f"The notebook's metadata says lab {said[:50]!r} while its name says {submission.lab!r}: "
            "submit the notebook of this lab, under the name it came with.",
            digest,
        )
    return notebook, digest


def _in_folder(root: Path, stems: list[str]) -> list[Submission]:
    try:
        return sorted(_in_root(root, stems))
    except PermissionError:
        raise UnderloadError(
            f"The folder {root} may not be read: make it readable and grade again."
        ) from None


def _in_root(root: Path, stems: list[str]) -> Iterator[Submission]:
    for entry in _entries(root):
        if _is_notebook(entry):
            yield _loose(entry, root, stems)
        elif entry.is_symlink():
            if entry.is_dir():
                yield Submission(_text(entry.name), "", entry, LINKED)
        elif entry.is_dir():
            yield from _of_student(entry, stems)


def _of_student(folder: Path, stems: list[str]) -> Iterator[Submission]:
    student = _text(folder.name)
    try:
        for entry in _entries(folder):
            if _is_notebook(entry):
                yield _named(student, entry, stems)
    except PermissionError:
        yield Submission(
            student, "", folder, "This folder may not be read: make it readable and grade again."
        )


def _loose(path: Path, root: Path, stems: list[str]) -> Submission:
    """Return a notebook at the top: of the folder's student if it is named as a lab, else of its own name."""
    if path.stem.partition(".")[0] in stems:
        return _named(_text(root.resolve().name), path, stems)
    student = _text(path.stem)
    try:
        lab = parse(content_of(path, path.parent)).metadata.underload.lab
    except Rejected as rejected:
        return Submission(student, "", path, rejected.reason)
    if lab in stems:
        return Submission(student, lab, path)
    return Submission(student, "", path, _no_such_lab(path, stems))


def _named(student: str, path: Path, stems: list[str]) -> Submission:
    lab = _text(path.stem)
    return Submission(student, lab, path, "" if lab in stems else _no_such_lab(path, stems))


def _no_such_lab(path: Path, stems: list[str]) -> str:
    name = _text(path.name)
    like = next((stem for stem in stems if name.startswith(stem)), stems[0] if stems else "NN-name")
    return f"No lab is called {name[:80]!r}: name the notebook as the lab is, such as {like}.ipynb."


def _distinct(found: list[Submission], root: Path) -> Iterator[Submission]:
    """Let the first of a student's notebooks for a lab stand, and call the others by their place."""
    seen: dict[tuple[str, str], Submission] = {}
    for each in found:
        if first := seen.get((each.student, each.lab)):
            problem = (
                f"This student has also handed in {_text(str(first.path.relative_to(root)))} for this lab: "
                "keep one of the two."
            )
            lab = f"./{_text(str(each.path.relative_to(root)))}"
            while (each.student, lab) in seen:
                lab += "+"
            each = replace(each, lab=lab, problem=problem)
        seen[each.student, each.lab] = each
        yield each


def _entries(folder: Path) -> list[Path]:
    return [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]


def _is_notebook(path: Path) -> bool:
    """Tell whether a name is a notebook's. What bears it may be a link, a folder, or a pipe."""
    return path.suffix.lower() == ".ipynb"


def _text(name: str) -> str:
    """Return a file's name as text that any other file can hold: bytes that are not UTF-8 are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
