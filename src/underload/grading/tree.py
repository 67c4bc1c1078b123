"""All that was handed in, file by file. Archives are looked into as if they were folders."""

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

from underload.errors import UnderloadError
from underload.grading.archive import DEEPEST, Allowance, Archive, Member
from underload.grading.intake import LINKED, Rejected
from underload.grading.naming import is_archive, is_ignored, is_notebook
from underload.grading.sources import Source

DEEPEST_FOLDER = 30
UNREADABLE = "This folder may not be read: make it readable and grade again."
Read = Callable[[], bytes]
Kind = Literal["notebook", "archive", "other", "empty"]


@dataclass(frozen=True)
class Entry:
    """A file that was handed in, or a folder or an archive in which there is none.

    Attributes:
        kind: ``notebook``; ``archive`` or ``empty`` if it could, or would, not be looked into further.
        places: the names on the way to it from what was searched, as text that any file can hold; of a folder
            the last is nothing.
        source: where its content is.
        problem: why it cannot be read, a sentence, as far as that shows from outside.
        read: what returns its content as long as this is the last entry that `walk` has given, so that an
            archive is opened once for all that it holds.
    """

    kind: Kind
    places: tuple[str, ...]
    source: Source
    problem: str = ""
    read: Read | None = None

    def content(self) -> bytes:
        """Return what the file holds. Raises Rejected."""
        if self.problem:
            raise Rejected(self.problem)
        return self.read() if self.read else self.source.content()


def walk(start: Path, besides: Path | None = None) -> Iterator[Entry]:
    """Return what a folder holds, or the one file that was given, in order of the names.

    Hidden files are left out, with what operating systems leave, and the folder ``besides``.

    Raises:
        UnderloadError: the folder may not be read.
    """
    if not start.is_dir():
        yield from _file(
            start.absolute(), Source(start.absolute().parent, start.absolute()), (_text(start.name),)
        )
        return
    try:
        names = _names(start)
    except PermissionError:
        raise UnderloadError(
            f"The folder {start} may not be read: make it readable and grade again."
        ) from None
    for name in names:
        yield from _file(start / name, Source(start, start / name), (_text(name),), besides)


def _file(
    path: Path, source: Source, places: tuple[str, ...], besides: Path | None = None
) -> Iterator[Entry]:
    name = places[-1]
    if path.is_symlink():
        yield Entry(_kind(name), places, source, LINKED)
    elif path.is_dir() and not is_notebook(name):
        if besides is None or path.resolve() != besides:
            yield from _folder(path, source.root, places, besides)
    elif is_archive(name):
        yield from _archive(source, places)
    else:
        yield Entry(_kind(name), places, source)


def _folder(path: Path, root: Path, places: tuple[str, ...], besides: Path | None) -> Iterator[Entry]:
    try:
        names = _names(path)
    except OSError:
        yield Entry("empty", (*places, ""), Source(root, path), UNREADABLE)
        return
    if not names:
        yield Entry("empty", (*places, ""), Source(root, path))
    elif len(places) == DEEPEST_FOLDER:
        deep = f"Folders lie in one another more than {DEEPEST_FOLDER} deep: submit the notebook itself."
        yield Entry("empty", (*places, ""), Source(root, path), deep)
    else:
        for name in names:
            yield from _file(path / name, Source(root, path / name), (*places, _text(name)), besides)


def _archive(source: Source, places: tuple[str, ...]) -> Iterator[Entry]:
    try:
        with source.opened() as file:
            yield from _members(file, source, places, Allowance())
    except Rejected as rejected:  # it could not be opened
        yield Entry("archive", places, source, rejected.reason)


def _members(
    file: BinaryIO, source: Source, places: tuple[str, ...], allowance: Allowance
) -> Iterator[Entry]:
    """Return what an archive holds while its file is open."""
    try:
        if len(source.inside) == DEEPEST:
            raise Rejected(
                f"Archives lie in one another more than {DEEPEST} deep: submit the notebook itself."
            )
        archive = Archive(file)
        found = [each for each in archive.members(allowance) if not any(map(is_ignored, each.places))]
    except Rejected as rejected:
        yield Entry("archive", places, source, rejected.reason)
        return
    if not found:
        yield Entry("empty", (*places, ""), source)
    for each in sorted(found, key=_order):
        read = partial(archive.content, each.index)
        yield from _member(each, read, source.member(each.index), (*places, *each.places), allowance)


def _member(
    member: Member, read: Read, source: Source, places: tuple[str, ...], allowance: Allowance
) -> Iterator[Entry]:
    problem = member.problem
    if is_archive(places[-1]) and not problem:
        try:
            file = io.BytesIO(read())
        except Rejected as rejected:
            problem = rejected.reason
        else:
            yield from _members(file, source, places, allowance.part())
            return
    yield Entry(_kind(places[-1]), places, source, problem, read)


def _order(member: Member) -> tuple[tuple[str, ...], int]:
    return member.places, member.index


def _kind(name: str) -> Kind:
    return "notebook" if is_notebook(name) else "archive" if is_archive(name) else "other"


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not is_ignored(path.name))


def _text(name: str) -> str:
    """Return a file's name as text that any other file can hold: bytes that are not UTF-8 are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
