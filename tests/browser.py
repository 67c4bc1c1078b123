"""Run a notebook in JupyterLab as a learner does, in a real browser, and tell what the page shows.

    python tests/browser.py notebooks/01-blocking.ipynb OUTDIR [--theme dark]

runs a copy of the notebook, saves one screenshot a page to OUTDIR and prints the facts as JSON.
"""

import argparse
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from underload.finding import UNDER_PYTEST
from underload.study import lab_command, lab_environment

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\S*token=\w+")
CLAIM = re.compile(r"^[✔✘].*$", re.MULTILINE)
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
RESTARTED = "Canceled future for"  # JupyterLab's word on what it had asked the kernel before the restart
CHROMIUM_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Keeps the text of every dialog and notification, so that one which comes and goes is seen too.
WATCH_POPUPS = """
window.popups = [];
new MutationObserver(changes => {
  for (const node of changes.flatMap(change => [...change.addedNodes])) {
    if (node.nodeType !== Node.ELEMENT_NODE) continue;
    const popup = node.closest('.jp-Dialog, .Toastify__toast')
      ?? node.querySelector('.jp-Dialog, .Toastify__toast');
    if (popup && !window.popups.includes(popup)) window.popups.push(popup);
  }
}).observe(document, {childList: true, subtree: true});
"""

# A committed notebook comes with numbers: blanked, a number means that this run has run the cell.
BLANK_PROMPTS = """
document.querySelectorAll('.jp-Notebook .jp-InputPrompt').forEach(prompt => prompt.textContent = '')
"""

# Neither an empty cell nor one that is folded, as answers are, shows a number.
CELLS = """
const cells = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')]
  .filter(cell => cell.querySelector('.cm-content')?.textContent.trim());
const prompt = cell => cell.querySelector('.jp-InputPrompt').textContent;
const ran = cell => /\\d/.test(prompt(cell));
"""

NOT_RUN = f"""() => {{
  {CELLS}
  return cells.filter(cell => !ran(cell)).map(cell => cell.querySelector('.cm-content').innerText);
}}"""

# After an error JupyterLab leaves the cells below it without a number.
FINISHED = f"""() => {{
  {CELLS}
  const failed = cell => ran(cell) && cell.querySelector('[data-mime-type$="jupyter.stderr"]');
  const status = document.querySelector('.jp-Notebook-ExecutionIndicator').dataset.status;
  return status === 'idle' && !cells.some(cell => prompt(cell).includes('*'))
    && (cells.every(ran) || cells.some(failed));
}}"""

COUNT_FIGURES = """outputs => outputs.filter(output =>
  [...output.querySelectorAll('img')].some(image => image.naturalWidth) || output.querySelector('svg')
).length"""


@dataclass
class Facts:
    """What the page shows of a finished notebook."""

    claims: list[str] = field(default_factory=list)
    figures: int = 0
    errors: list[str] = field(default_factory=list)  # and what went to stderr: the page shows both in red
    not_run: list[str] = field(default_factory=list)
    popups: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)


@contextmanager
def served(
    command: list[str], folder: Path, environment: dict[str, str], theme: str = "light", seconds: float = 60
) -> Iterator[str]:
    """Run a command that starts JupyterLab in `folder`; yield the address that it prints within `seconds`."""
    with tempfile.TemporaryDirectory() as settings:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=_outside_pytest(environment) | _settings(Path(settings), theme),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # What a shell starts in the background ignores Ctrl-C, and hands that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            yield _address(server, seconds)
        finally:
            _press_control_c(server)


@contextmanager
def opened(address: str, width: int = 1440, height: int = 900) -> Iterator[Page]:
    """Open the address, a notebook in JupyterLab, in headless Chromium; yield it when its kernel is idle."""
    flags = CHROMIUM_FLAGS + (["--no-sandbox"] if os.geteuid() == 0 else [])
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        try:
            page = chromium.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(60_000)
            page.add_init_script(WATCH_POPUPS)
            page.goto(address)
            page.wait_for_selector("#jupyterlab-splash", state="detached")
            page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()
            yield page
        finally:
            chromium.close()


def restart_and_run_all(page: Page, seconds: float = 300) -> None:
    """Choose Kernel > Restart Kernel and Run All Cells, and wait until the last cell has finished."""
    page.evaluate(BLANK_PROMPTS)
    page.locator(".lm-MenuBar-itemLabel", has_text="Kernel").click()
    page.locator(".lm-Menu-itemLabel", has_text="Restart Kernel and Run All Cells").click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    try:
        page.wait_for_function(FINISHED, timeout=seconds * 1000)
    except PlaywrightTimeout:
        raise AssertionError(f"not finished after {seconds} s: {page.evaluate(NOT_RUN)}") from None


def facts(page: Page) -> Facts:
    """Read from the page what a learner would."""
    outputs = page.locator(".jp-Notebook .jp-OutputArea-output")
    popups = page.evaluate("window.popups.map(popup => popup.textContent)")
    console = [said.text for said in page.console_messages() if said.type == "error"]
    console += [str(error) for error in page.page_errors()]
    return Facts(
        claims=CLAIM.findall("\n".join(outputs.all_inner_texts())),
        figures=outputs.evaluate_all(COUNT_FIGURES),
        errors=page.locator('[data-mime-type$="jupyter.stderr"]').all_inner_texts(),
        not_run=page.evaluate(NOT_RUN),
        popups=[text for text in popups if "Do you want to restart the kernel" not in text],
        console=[text for text in console if RESTARTED not in text],
    )


def screenshots(page: Page, folder: Path) -> None:
    """Save the window to `folder` as page-01.png, page-02.png and so on, scrolling down the notebook."""
    folder.mkdir(parents=True, exist_ok=True)
    notebook = page.locator(".jp-Notebook .jp-WindowedPanel-outer")
    first, last = notebook.locator(".jp-Cell").first, notebook.locator(".jp-Cell").last
    length = last.bounding_box()["y"] + last.bounding_box()["height"] - first.bounding_box()["y"]
    step = notebook.bounding_box()["height"] * 0.9
    for number, top in enumerate(range(0, int(length), int(step)), start=1):
        notebook.evaluate("(node, top) => node.scrollTo(0, top)", top)
        page.screenshot(path=folder / f"page-{number:02}.png")


def run_copy(notebook: Path, out: Path, theme: str = "light") -> Facts:
    """Run a copy of the notebook, save its screenshots to `out`, and return the facts."""
    # A kernel that is about to end may still be removing files of its own here.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        command = lab_command(Path(shutil.copy(notebook, root)), root, browser=False)
        with served(command, root, lab_environment(root), theme) as address, opened(address) as page:
            restart_and_run_all(page)
            screenshots(page, out)
            return facts(page)


def _outside_pytest(environment: dict[str, str]) -> dict[str, str]:
    """Leave out what tells a kernel that a test runs it: here a browser does."""
    return {name: value for name, value in environment.items() if name != UNDER_PYTEST}


def _settings(folder: Path, theme: str) -> dict[str, str]:
    """Give JupyterLab settings of its own: no autosave, and every cell in the page at all times."""
    settings = {
        "@jupyterlab/apputils-extension:themes": {"theme": THEMES[theme]},
        "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
        "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    }
    (folder / "labconfig").mkdir()
    (folder / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(settings))
    return {"JUPYTER_CONFIG_DIR": str(folder), "JUPYTERLAB_SETTINGS_DIR": str(folder / "user-settings")}


def _address(server: subprocess.Popen, seconds: float) -> str:
    """Return the address with its token from the server's output, and keep reading what follows."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in server.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    deadline, said = time.monotonic() + seconds, []
    while True:
        try:
            line = lines.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            line = None
        if line is None:
            raise AssertionError(f"no address within {seconds} s, but:\n{''.join(said)}")
        said.append(line)
        if found := ADDRESS.search(line):
            return found.group()


def _press_control_c(server: subprocess.Popen) -> None:
    """End the server, which ends its kernels; if it has to be killed they notice and end themselves."""
    try:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(timeout=20)
    except ProcessLookupError:
        server.wait()
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        raise


def main() -> None:
    """Run one notebook from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--theme", choices=THEMES, default="light")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that `timeout` leaves no server behind
    found = run_copy(arguments.notebook, arguments.out, arguments.theme)
    sys.stdout.write(json.dumps(asdict(found), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
