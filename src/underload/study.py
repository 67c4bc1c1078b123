"""Open a lesson in JupyterLab: a copy of the learner's own, in which no answer stands below its question."""

import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from underload.authoring import hand_out, is_in_use
from underload.course import LABS, LESSONS, ROOT, STUDY
from underload.errors import UnderloadError

NOTEBOOKS = "[0-9][0-9]*-*.ipynb"


def open_course(lesson: str = "00", browser: bool = True, lab: bool = False, ip: str = "127.0.0.1") -> None:
    """Become a JupyterLab server that shows the learner's copy of a lesson, or of its lab, until Ctrl-C.

    `lesson` is a number (`1`, `01`), a name (`blocking`) or both (`01-blocking`). Without `browser`,
    or where there is no display, the address is printed and no browser is opened. `ip` is where to listen.
    Raises `UnderloadError` if there is no such lesson, or no course around this package.
    """
    notebook = find_lesson(lesson, LABS if lab else LESSONS)
    own = _own(notebook)
    present = hand_out(notebook, own)
    hand_out_others()
    say = Console(highlight=False, soft_wrap=True).print
    say(f"[bold]{notebook.stem}[/bold] in JupyterLab, your own copy: {own.relative_to(ROOT)}.")
    if present != own:
        say(f"It stays as it is; the course has a newer version, beside it: {present.relative_to(ROOT)}.")
    say("Ctrl-C here ends JupyterLab.")
    command = lab_command(own, ROOT, browser and _has_display(), ip)
    # Replacing this process leaves one to signal, so Ctrl-C or a kill reaches JupyterLab itself.
    os.execve(command[0], command, lab_environment(ROOT))  # noqa: S606  our own interpreter


def find_lesson(lesson: str, folder: Path) -> Path:
    """Return the notebook in `folder` that `lesson` names. Raises `UnderloadError` if there is none."""
    lessons = _notebooks(folder)
    if not lessons:
        raise UnderloadError("The lessons are not here: run `underload study` in a clone of the course.")
    wanted = re.sub(r"^(\d[a-z]?)$", r"0\1", lesson.removesuffix(".ipynb"))
    for notebook in lessons:
        if wanted in (notebook.stem, *notebook.stem.split("-", 1)):
            return notebook
    names = ", ".join(notebook.stem for notebook in lessons)
    raise UnderloadError(f"There is no {lesson!r} in {folder.name}; choose one of {names}.")


def hand_out_others() -> None:
    """Make or renew the learner's copy of each notebook not yet begun, so that links between them lead on."""
    for notebook in [*_notebooks(LESSONS), *_notebooks(LABS)]:
        with suppress(UnderloadError):  # said when that one is asked for
            if not is_in_use(_own(notebook)):
                hand_out(notebook, _own(notebook))


def lab_command(notebook: Path, root: Path, browser: bool, ip: str = "127.0.0.1") -> list[str]:
    """Return the command that serves the folder `root` and shows `notebook`, which is inside it."""
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        *("--log-level=ERROR", "--LabApp.log_level=ERROR", "--ServerApp.log_format=%(message)s"),
        "-y",  # one Ctrl-C is enough
        "--LabApp.extension_manager=readonly",  # else it asks the package index
        f"--ServerApp.ip={ip}",
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url=/lab/tree/{notebook.relative_to(root).as_posix()}",
    ]
    command += [] if browser else ["--no-browser"]
    command += ["--allow-root"] if os.geteuid() == 0 else []
    return command


def lab_environment(root: Path) -> dict[str, str]:
    """Return the environment in which JupyterLab keeps its state for the course under `root`.

    The window layout of other projects then never mixes with ours, and a browser that may not read
    hidden folders at the top of the home directory (Ubuntu's Firefox) can open the redirect file.
    """
    state = root / ".underload" / "jupyter"
    defaults = state / "config" / "labconfig" / "default_setting_overrides.json"
    defaults.parent.mkdir(parents=True, exist_ok=True)
    defaults.write_text(json.dumps({"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}))
    return os.environ | {
        "JUPYTER_CONFIG_PATH": str(state / "config"),
        "JUPYTER_RUNTIME_DIR": str(state / "runtime"),
        "JUPYTERLAB_WORKSPACES_DIR": str(state / "workspaces"),
    }


def _notebooks(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob(NOTEBOOKS)) if "." not in path.stem]  # no second copies


def _own(notebook: Path) -> Path:
    return STUDY / notebook.parent.name / notebook.name


def _has_display() -> bool:
    """Tell whether a browser could show a window, since a text browser would take over the terminal."""
    return sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & os.environ.keys())
