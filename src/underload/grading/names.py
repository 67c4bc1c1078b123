"""Names for a report's folders and files that fit every file system, and text that anybody may be shown."""

import hashlib
import re
import unicodedata

MOST_BYTES = 100  # of a name that is kept as it is
KEPT_FOR_US = (".csv", ".xml", ".json", ".html", ".md", ".lock", ".new", ".tmp")
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def folder_name(name: str) -> str:
    """Return what a student's folder, or a lab's page, is called in a report.

    A plain name stays as it is. Any other keeps its harmless characters and gets a digest after a
    tilde, which no plain name holds, so that two students never share a folder.
    """
    if _is_plain(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{re.sub('[^A-Za-z0-9]+', '-', name).strip('-')[:40] or 'unnamed'}~{digest}"


def page_name(student: str, lab: str, file: str) -> str:
    """Return what the page and the record of an attempt are called, without their endings.

    That is the lab's name for ``student/lab.ipynb``; any other place adds its digest, and changes no other's.
    """
    if lab and file == f"{student}/{lab}.ipynb":
        return folder_name(lab)
    last = lab or file.rstrip("/").rpartition("/")[2].rpartition(".")[0] or "unnamed"
    digest = hashlib.sha256(file.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{folder_name(last)}~{digest}"


def printable(text: str, kept: str = "") -> str:
    """Return a text with what does not print as Python writes it, such as ``\\x1b`` and ``\\u202e``.

    That goes for control characters, those that turn the direction of a line, and those that show nothing.

    Args:
        text: what somebody may have named or printed who means harm.
        kept: characters that are left, such as a line's end.
    """
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode()
        for each in text
    )


def _is_plain(name: str) -> bool:
    return (
        name.isprintable()  # which a half of a surrogate pair is not
        and len(name.encode()) <= MOST_BYTES
        and name == unicodedata.normalize("NFC", name)
        and name[:1].isalnum()
        and name[-1] not in ". "
        and all(character.isalnum() or character in " ._-+@" for character in name)
        and not name.lower().endswith(KEPT_FOR_US)
        and not DEVICES.fullmatch(name)
    )
