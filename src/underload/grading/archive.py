"""A zip archive that was handed in: what it holds and says, within bounds. Nothing is unpacked to a disk."""

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from underload.grading.intake import LINKED, MOST_BYTES, Rejected
from underload.grading.naming import is_archive, is_notebook

MOST_FILES = 20_000  # in an archive and in those within it, together
MOST_UNPACKED = 2_000_000_000  # bytes of all notebooks and archives in it, together
PART = 10  # such a part of that may one of the archives in it take, which may be a student's of many
MOST_INNER = 100_000_000  # bytes of an archive within another, which is held in memory
MOST_RATIO, RATIO_FROM = 250, 1_000_000  # bytes for each packed one, of what is larger than the second
MOST_DIRECTORY = 8_000_000  # bytes of the list of an archive's files, which zipfile reads at once
PIECE = 65_536
DEEPEST = 3  # archives within each other: a platform's, a student's, and one more
LONGEST_PATH = 1_000  # characters
# zipfile bounds what a piece of these unpacks to; with other methods it does not.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, IndexError),
    *(NotImplementedError, RuntimeError, OverflowError),
)
AGAIN = "make the archive again, with what your system itself has for that, and submit it"


@dataclass
class Allowance:
    """What an archive may still hold, with those in it.

    Attributes:
        files: how many.
        unpacked: bytes of its notebooks and archives.
        around: of the archive around it, which all in there share.
    """

    files: int = MOST_FILES
    unpacked: int = MOST_UNPACKED
    around: "Allowance | None" = None

    def part(self) -> "Allowance":
        """Return what an archive within may hold. Those within that share it."""
        return self if self.around else Allowance(MOST_FILES // PART, MOST_UNPACKED // PART, self)

    def spend(self, files: int, unpacked: int) -> None:
        """Take files and bytes off. Raises Rejected, and takes nothing, if there are more than are left."""
        share = PART if self.around else 1
        if files > self.files:
            most = f"{MOST_FILES // share:,} files"
            raise Rejected(
                f"The archive, with those in it, has more than {most}: submit the notebooks alone."
            )
        if unpacked > self.unpacked:
            raise Rejected(
                f"What is in the archive unpacks to more than {MOST_UNPACKED // share / 1e6:,.0f} MB: "
                "clear the outputs of all cells, save, and submit the notebooks alone."
            )
        if self.around:
            self.around.spend(files, unpacked)
        self.files -= files
        self.unpacked -= unpacked


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        index: its place in the archive's list.
        places: the names on the way to it; the last is its own.
        problem: why it cannot be read, a sentence; nothing if it may be.
    """

    index: int
    places: tuple[str, ...]
    problem: str = ""


class Archive:
    """A zip archive. It leaves its file open.

    Raises:
        Rejected: the file is none, or a broken one.
    """

    def __init__(self, file: BinaryIO) -> None:
        with _refusing():
            self._archive = zipfile.ZipFile(_Bounded(file))

    def members(self, allowance: Allowance) -> list[Member]:
        """Return the files in it, in its order, unread. Raises Rejected if they are more than is allowed."""
        listed = [(index, each) for index, each in enumerate(self._archive.infolist()) if not each.is_dir()]
        found = [Member(index, *_place(each)) for index, each in listed]
        sizes = {index: each.file_size for index, each in listed if _is_opened(each)}
        allowance.spend(len(found), sum(sizes.get(each.index, 0) for each in found if not each.problem))
        return found

    def content(self, index: int) -> bytes:
        """Return what a member holds. Raises Rejected if it cannot be read, or is not what it says."""
        with _refusing():
            member = self._archive.infolist()[index]
            if problem := _problem(member):
                raise Rejected(problem)
            with self._archive.open(member) as packed:  # piece by piece, so that zipfile bounds each
                return b"".join(iter(lambda: packed.read(PIECE), b""))  # no more than its stated size


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except BROKEN:
        raise Rejected(f"The zip archive is broken, or is none: {AGAIN}.") from None


class _Bounded(io.RawIOBase):
    """A file of which nobody reads very much at once, though an archive's end may ask for that."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        read = self._file.read(min(size, MOST_DIRECTORY + 1) if size >= 0 else MOST_DIRECTORY + 1)
        if len(read) > MOST_DIRECTORY:
            raise zipfile.BadZipFile
        return read


def _is_opened(member: zipfile.ZipInfo) -> bool:
    return is_notebook(member.filename) or is_archive(member.filename)


def _place(member: zipfile.ZipInfo) -> tuple[tuple[str, ...], str]:
    """Return the names on the way to a member, and why it cannot be read.

    Of a path that leads out of the archive only the last name is kept, so that it lies in nobody's folder.
    """
    path = _decoded(member).replace("\\", "/")
    names = PurePosixPath(path).parts
    if not names or path.startswith("/") or ".." in names or re.match("[A-Za-z]:", path):
        last = names[-1].strip("./") if names else ""
        return (last[-100:] or "unnamed",), f"Its path in the archive leads out of it: {AGAIN}."
    if len(path) > LONGEST_PATH:
        return (names[-1][-100:],), f"Its path in the archive is too long: {AGAIN}."
    return names, _problem(member)


def _decoded(member: zipfile.ZipInfo) -> str:
    """Return a member's name. Many tools write UTF-8 without saying so, which zipfile takes for cp437."""
    if member.flag_bits & 0x800:
        return member.filename
    try:
        return member.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return member.filename


def _problem(member: zipfile.ZipInfo) -> str:
    most = MOST_INNER if is_archive(member.filename) else MOST_BYTES
    if stat.S_ISLNK(member.external_attr >> 16):
        return LINKED
    if member.flag_bits & 0x1:
        return "The archive is encrypted: make it again without a password, and submit it."
    if member.compress_type not in METHODS:
        return f"The archive is compressed in another way than Deflate: {AGAIN}."
    if member.file_size > most:
        return (
            f"Unpacked it has {member.file_size / 1e6:,.0f} MB, and {most / 1e6:,.0f} MB are allowed: "
            "clear the outputs of all cells, save, and submit again."
        )
    if member.file_size > max(RATIO_FROM, MOST_RATIO * member.compress_size):
        return (
            f"It is packed more than {MOST_RATIO} times smaller than it is, as no notebook can be: "
            "clear the outputs of all cells, save, and submit again."
        )
    return ""
