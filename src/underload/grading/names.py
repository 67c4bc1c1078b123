"""Names for a report's folders and files that fit every file system."""

import hashlib
import re
import unicodedata

MOST_BYTES = 100  # of a name that is kept as it is
KEPT_FOR_US = (".csv", ".xml", ".json", ".html", ".md", ".lock", ".new", ".tmp")
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def folder_name(name: str) -> str:
    """Return what a student's folder, or a lab's file, is called in a report.

    A plain name stays as it is. Any other keeps its harmless characters and gets a digest after a
    tilde, which no plain name holds, so that two students never share a folder.
    """
    if _is_plain(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{re.sub('[^A-Za-z0-9]+', '-', name).strip('-')[:40] or 'unnamed'}~{digest}"


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
