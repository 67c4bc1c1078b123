"""Submissions: what was handed in, by whom, for which lab, and the notebook in it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nbformat import NotebookNode

from underload.authoring import lab_stems
from underload.errors import UnderloadError
from underload.grading.intake import Rejected, parse
from underload.grading.naming import Owner, containers, lab_in, owner
from underload.grading.sources import Source
from underload.grading.tree import Entry, walk

MOST_ATTEMPTS = 10  # of a student at a lab that are graded
MOST_NAMED = 3  # files that are no notebooks, in one sentence
FROM_RELEASED = "put your cells into the lab's notebook as it was released, and submit that"


@dataclass(frozen=True)
class Submission:
    """Something that was handed in, mostly a notebook: one attempt at a lab.

    Attributes:
        student: whose it is, as text that any file can hold.
        lab: the lab it is for, such as ``01-blocking``; nothing if it is for none.
        file: its place in what was searched; an archive counts as a folder.
        source: where its content is.
        digest: SHA-256 of the file; nothing if it could not be read.
        problem: why it is not graded, a sentence; nothing if it is to be.
        needless: that with this problem the student loses nothing.
    """

    student: str
    lab: str
    file: str
    source: Source
    digest: str = ""
    problem: str = ""
    needless: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from all others, in order."""
        return self.student, self.lab, self.file


@dataclass(frozen=True)
class _Examined:
    """A file, and what its content says."""

    places: tuple[str, ...]
    source: Source
    is_attempt: bool  # or it is a file that is no notebook, or a folder in which there is none
    lab: str = ""
    digest: str = ""
    problem: str = ""

    def of(self, student: str) -> Submission:
        return Submission(student, self.lab, "/".join(self.places), self.source, self.digest, self.problem)


def find(submissions: Path, labs: Path, besides: Path | None = None) -> list[Submission]:
    """Return all that was handed in, in order of student, lab and file.

    Folders and zip archives are searched to their depths. Whose a file is, `naming.owner` says; where nothing
    on the way to it names anybody, the folder's name does. Which lab a notebook is for, its metadata says;
    where that does not, its name, or its folder's. A student's files that are no notebooks are one
    submission, with a problem.

    Args:
        submissions: the folder of all that was handed in, or an archive of that, or a single notebook.
        labs: the folder of the labs.
        besides: a folder in there that was not handed in, such as the report's.

    Raises:
        UnderloadError: there is no such folder, or nothing in it.
    """
    if not submissions.exists() and not submissions.is_symlink():
        raise UnderloadError(f"There is no {submissions}: give the folder that holds the submissions.")
    stems = lab_stems(labs)
    examined = [_examine(entry, stems) for entry in walk(submissions, besides)]
    top = submissions if submissions.is_dir() else submissions.absolute().parent
    found = [*_named(_by_owner(examined, stems), top.resolve().name)]
    if not found:
        raise UnderloadError(
            f"There is no notebook in {submissions}: give a folder of student/NN-name.ipynb files."
        )
    return [*_bounded(sorted(_distinct(found), key=lambda each: each.key))]


def read(submission: Submission) -> NotebookNode:
    """Return a submitted notebook without its outputs.

    Raises:
        Rejected: it cannot be graded; the reason says what to do.
    """
    if submission.problem:
        raise Rejected(submission.problem)
    content = submission.source.content()
    if _digest(content) != submission.digest:
        raise Rejected("The file was changed while others were graded: grade again with --resume.")
    return parse(content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _examine(entry: Entry, stems: Sequence[str]) -> _Examined:
    """Return an entry with what its content says, which is not kept."""
    is_attempt = entry.kind in ("notebook", "archive") or (entry.kind == "empty" and bool(entry.problem))
    named = next(filter(None, (lab_in(name, stems) for name in reversed(entry.places))), "")
    found = _Examined(entry.places, entry.source, is_attempt, named if is_attempt else "", "", entry.problem)
    if entry.kind != "notebook":
        return found
    try:
        content = entry.content()
        found = replace(found, digest=_digest(content))
        said = parse(content).metadata.underload.lab
    except Rejected as rejected:
        return replace(found, problem=rejected.reason)
    if said in stems:
        return replace(found, lab=said)
    if said:
        unknown = f"The notebook says that it is of lab {said[:50]!r}, which is none here: {FROM_RELEASED}."
        return replace(found, lab="", problem=unknown)
    silent = f"Neither the notebook nor its name says which lab it is: {FROM_RELEASED}."
    return found if named else replace(found, problem=silent)


def _by_owner(examined: list[_Examined], stems: Sequence[str]) -> dict[Owner | None, list[_Examined]]:
    around = containers([each.places for each in examined], stems)
    found = defaultdict(list)
    for each in examined:
        depth = max((len(names) for names in around if each.places[: len(names)] == names), default=0)
        found[owner(each.places[depth:], stems)].append(each)
    return found


def _named(by_owner: dict[Owner | None, list[_Examined]], otherwise: str) -> Iterator[Submission]:
    """Return what was handed in. Two of one name who did the same lab are told apart by their numbers."""
    numbers = defaultdict(set)
    for who, files in by_owner.items():
        for each in files if who and who.number else ():
            numbers[who.student, each.lab].add(who.number)
    twins = {
        Owner(student, number)
        for (student, lab), several in numbers.items()
        for number in several
        if lab and len(several) > 1
    }
    for who, files in by_owner.items():
        name = f"{who.student} ({who.number})" if who in twins else who.student if who else otherwise
        yield from _of_student(name, files, is_known=who is not None)


def _of_student(student: str, files: list[_Examined], is_known: bool) -> Iterator[Submission]:
    attempts = [each.of(student) for each in files if each.is_attempt]
    others = [each for each in files if not each.is_attempt and each.places[-1]]
    empty = [each for each in files if not each.is_attempt and not each.places[-1]]
    yield from attempts
    if others:
        needless = bool(attempts) or not is_known
        yield replace(others[0].of(student), problem=_no_notebooks(others), needless=needless)
    elif empty and not attempts and is_known:
        missing = "There is no notebook in it: submit the lab's notebook."
        yield replace(empty[0].of(student), problem=missing)


def _no_notebooks(others: list[_Examined]) -> str:
    if others[0].problem:
        return others[0].problem
    names = ", ".join(each.places[-1][:80] for each in others[:MOST_NAMED])
    more = f" and {len(others) - MOST_NAMED:,} more" if len(others) > MOST_NAMED else ""
    what = "is no notebook" if len(others) == 1 else "are no notebooks"
    return f"{names}{more} {what}, and no zip archive of them: submit the lab's notebook, NN-name.ipynb."


def _distinct(found: list[Submission]) -> Iterator[Submission]:
    """Tell files of one name, which an archive may hold, apart by a number."""
    seen = Counter()
    for each in found:
        seen[each.file] += 1
        yield replace(each, file=f"{each.file}#{seen[each.file]}") if seen[each.file] > 1 else each


def _bounded(found: Iterable[Submission]) -> Iterator[Submission]:
    """Grade what was handed in twice once, and no more attempts at a lab than are allowed."""
    graded = defaultdict(dict)  # of each student and lab, the files by their digests
    for each in found:
        files = graded[each.student, each.lab]
        if each.problem or not each.lab:
            yield each
        elif each.digest in files:
            same = f"This is the same file as {files[each.digest]}, which counts: nothing is to be done."
            yield replace(each, problem=same, needless=True)
        elif len(files) == MOST_ATTEMPTS:
            many = f"{MOST_ATTEMPTS} others of this lab were graded: keep the one that is to count."
            yield replace(each, problem=many)
        else:
            files[each.digest] = each.file
            yield each
