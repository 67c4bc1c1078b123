"""Where a file that was handed in is, on a disk or within archives, and how it is opened without trust."""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from underload.grading.archive import Archive
from underload.grading.intake import LINKED, MOST_BYTES, Rejected


@dataclass(frozen=True)
class Source:
    """Where a file is.

    Attributes:
        root: the folder that was searched; nothing outside it is read.
        path: the file on the disk.
        inside: if that is an archive, the index of a member; an index in there, if this is one; and so on.
    """

    root: Path
    path: Path
    inside: tuple[int, ...] = ()

    def member(self, index: int) -> "Source":
        """Return where a member of this archive is."""
        return Source(self.root, self.path, (*self.inside, index))

    def content(self) -> bytes:
        """Return what the file holds.

        Raises:
            Rejected: it is too large, no file at all, or not in ``root`` without a link on the way.
        """
        with self.opened() as file:
            if not self.inside:
                _verify_size(os.fstat(file.fileno()).st_size)
                return file.read(MOST_BYTES)
            for index in self.inside[:-1]:
                file = io.BytesIO(Archive(file).content(index))
            return Archive(file).content(self.inside[-1])

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the file on the disk. Raises Rejected as `content` does, but it may be of any size."""
        _verify_place(self.path, self.root)
        try:
            # Not blocking, since a named pipe would keep us waiting.
            file = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise Rejected("This is not a file: submit the notebook itself.")
                with open(file, "rb", closefd=False) as found:
                    yield found
            finally:
                os.close(file)
        except OSError as error:
            raise Rejected(
                f"The file cannot be read ({error.strerror}): make it readable and grade again."
            ) from None


def _verify_size(size: int) -> None:
    if size > MOST_BYTES:
        raise Rejected(
            f"The file has {size / 1e6:,.0f} MB, and {MOST_BYTES / 1e6:,.0f} MB are allowed: "
            "clear the outputs of all cells, save, and submit again."
        )


def _verify_place(path: Path, root: Path) -> None:
    try:
        parts = path.relative_to(root).parts
    except ValueError:
        parts = ("..",)
    if ".." in parts:
        raise Rejected("The file lies outside the folder of submissions: put it into that folder.")
    place = root
    for part in parts:
        place = place / part
        if place.is_symlink():
            raise Rejected(LINKED)
