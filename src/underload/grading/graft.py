"""A learner's cells in the lab as it was released, so that a learner cannot change what is asked."""

import copy
from collections.abc import Iterator, Mapping

from nbformat import NotebookNode

from underload.authoring import check_name, protected, written_metadata

Places = Mapping[int, int]  # from a place among the submitted cells to one among the protected cells


def graft(submitted: NotebookNode, pristine: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """Return the lab as released with the learner's cells in it, and what was put right, in words.

    The lab cell and the checks come from ``pristine``: each once, in its order. The other
    cells stay where the learner had them; those after the last check are left out,
    since nothing follows that they could earn. All lose their outputs, tags and other metadata.

    Args:
        submitted: the learner's notebook, as `submission.read` returns it.
        pristine: the lab as released.
    """
    guarded = protected(pristine)
    originals, copies = _recognised(submitted.cells, guarded)
    standing = _in_order(originals)
    cells, rest = _merged(submitted.cells, guarded, standing, {*originals, *copies})
    grafted = copy.deepcopy(pristine)
    grafted.cells = cells
    return grafted, [
        *_changes(submitted.cells, guarded, originals, standing),
        *(f"{_title(guarded[which])}: there a second time" for which in sorted(set(copies.values()))),
        *_left_out(rest, pristine),
    ]


def _recognised(cells: list[NotebookNode], guarded: list[NotebookNode]) -> tuple[Places, Places]:
    """Return where each protected cell is, and where there are copies of one.

    A cell is known by its id, or else, as some editors give new ids, by its source.
    """
    ids = {cell.id: which for which, cell in enumerate(guarded)}
    sources = {cell.source.strip(): which for which, cell in enumerate(guarded)}
    originals = {place: ids[cell.id] for place, cell in enumerate(cells) if cell.id in ids}
    copies = {}
    for place, cell in enumerate(cells):
        which = sources.get(cell.source.strip()) if cell.cell_type == "code" else None
        if place not in originals and which is not None:
            (copies if which in originals.values() else originals)[place] = which
    return originals, copies


def _in_order(originals: Places) -> Places:
    """Return as many of the protected cells as stand in their order; the others have been moved."""
    runs: list[list[int]] = []
    for place in sorted(originals):
        before = (run for run in runs if originals[run[-1]] < originals[place])
        runs.append([*max(before, key=len, default=[]), place])
    return {place: originals[place] for place in max(runs, key=len, default=[])}


def _merged(
    cells: list[NotebookNode], guarded: list[NotebookNode], standing: Places, protected_places: set[int]
) -> tuple[list[NotebookNode], list[NotebookNode]]:
    """Return the cells of the grafted lab, and those of the learner's that come after the last check.

    A protected cell that is missing goes right before the next one that is there: as late as it can,
    so that what it needs has been defined.
    """
    merged: list[NotebookNode] = []
    rest: list[NotebookNode] = []
    done = 0
    for place, cell in enumerate(cells):
        if place in standing:
            merged += guarded[done : standing[place] + 1]
            done = standing[place] + 1
        elif place not in protected_places:
            (merged if done < len(guarded) else rest).append(_bare(cell))
    return copy.deepcopy(merged + guarded[done:]), rest


def _bare(cell: NotebookNode) -> NotebookNode:
    bare = NotebookNode(cell_type=cell.cell_type, id=cell.id, metadata=NotebookNode(), source=cell.source)
    if cell.cell_type == "code":
        bare.update(execution_count=None, outputs=[])
    return bare


def _changes(
    cells: list[NotebookNode], guarded: list[NotebookNode], originals: Places, standing: Places
) -> Iterator[str]:
    places = {which: place for place, which in originals.items()}
    for which, cell in enumerate(guarded):
        if which not in places:
            yield f"{_title(cell)}: missing"
            continue
        if places[which] not in standing:
            yield f"{_title(cell)}: moved"
        if edited := _edited(cells[places[which]], cell):
            yield f"{_title(cell)}: {edited}"


def _edited(found: NotebookNode, cell: NotebookNode) -> str:
    if (found.cell_type, found.source.strip()) != (cell.cell_type, cell.source.strip()):
        return "edited"
    if found.metadata.get("tags", []) != cell.metadata.get("tags", []):
        return "its tags edited"
    return "" if written_metadata(found) == written_metadata(cell) else "its metadata edited"


def _left_out(rest: list[NotebookNode], pristine: NotebookNode) -> Iterator[str]:
    released = {cell.source.strip() for cell in pristine.cells} | {""}
    late = [cell for cell in rest if cell.cell_type == "code" and cell.source.strip() not in released]
    if late:
        cells = "a cell" if len(late) == 1 else f"{len(late)} cells"
        yield f"{cells} after the last check: left out"


def _title(cell: NotebookNode) -> str:
    return f'check "{check_name(cell)}"' if check_name(cell) else "the lab cell"
