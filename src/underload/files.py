"""Files that others wait for: written in one step."""

from pathlib import Path


def write_whole(path: Path, text: str, private: bool = False) -> None:
    """Replace a file in one step, so that neither a reader nor a crash ever sees half of it.

    A ``private`` one can be read by its owner alone.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600 if private else 0o666)
    draft.write_bytes(text.encode())
    draft.replace(path)
