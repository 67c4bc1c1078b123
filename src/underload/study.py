"""Open a lesson in JupyterLab."""

import json
import os
import sys
from pathlib import Path

from rich.console import Console

from underload.course import CHECKOUT
from underload.errors import UnderloadError


def open_course(lesson: str = "00", browser: bool = True, lab: bool = False) -> None:
    """Become a JupyterLab server that shows one lesson, or its lab, until Ctrl-C.

    `lesson` is a number (`1`, `01`), a name (`blocking`) or both (`01-blocking`). Without `browser`,
    or where there is no display, the address is printed and no browser is opened.
    Raises `UnderloadError` if there is no such lesson, or no course around this package.
    """
    notebook = find_lesson(lesson, CHECKOUT / ("labs" if lab else "notebooks"))
    command = lab_command(notebook, CHECKOUT, browser and _has_display())
    Console(highlight=False).print(f"[bold]{notebook.stem}[/bold] in JupyterLab; Ctrl-C here ends it.")
    # Replacing this process leaves one to signal, so Ctrl-C or a kill reaches JupyterLab itself.
    os.execve(command[0], command, lab_environment(CHECKOUT))  # noqa: S606  our own interpreter


def find_lesson(lesson: str, folder: Path) -> Path:
    """Return the notebook in `folder` that `lesson` names. Raises `UnderloadError` if there is none."""
    notebooks = sorted(folder.glob("[0-9][0-9]-*.ipynb"))
    lessons = [notebook for notebook in notebooks if "." not in notebook.stem]  # no second copies
    if not lessons:
        raise UnderloadError("The lessons are not here: run `underload study` in a clone of the course.")
    wanted = lesson.removesuffix(".ipynb").zfill(2)
    for notebook in lessons:
        if wanted in (notebook.stem, *notebook.stem.split("-", 1)):
            return notebook
    names = ", ".join(notebook.stem for notebook in lessons)
    raise UnderloadError(f"There is no lesson {lesson!r}; choose one of {names}.")


def lab_command(notebook: Path, root: Path, browser: bool) -> list[str]:
    """Return the command that serves the folder `root` and shows `notebook`, which is inside it."""
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        *("--log-level=ERROR", "--LabApp.log_level=ERROR", "--ServerApp.log_format=%(message)s"),
        "-y",  # one Ctrl-C is enough
        "--LabApp.extension_manager=readonly",  # else it asks the package index
        "--ServerApp.ip=127.0.0.1",
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


def _has_display() -> bool:
    """Tell whether a browser could show a window, since a text browser would take over the terminal."""
    return sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & os.environ.keys())
