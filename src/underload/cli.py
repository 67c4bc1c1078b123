"""The ``underload`` command."""

import json as json_module
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from underload.errors import UnderloadError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="FastAPI Under Load: a course on services that hold up under load.",
)
services_app = typer.Typer(no_args_is_help=True, help="PostgreSQL, Valkey and Caddy of this course.")
app.add_typer(services_app, name="services")
console = Console()


class Isolate(StrEnum):
    """Whether notebooks must run in sandboxes."""

    auto = "auto"
    required = "required"


@app.command()
def study(
    lesson: Annotated[str, typer.Argument(help="A lesson's number or name.")] = "00",
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
    lab: Annotated[bool, typer.Option("--lab", help="Open the lesson's lab instead.")] = False,
    ip: Annotated[str, typer.Option(help="Where to listen: in a container 0.0.0.0.")] = "127.0.0.1",
) -> None:
    """Open JupyterLab on a copy of a lesson, your own: made in study/ the first time, never overwritten."""
    from underload.study import open_course

    open_course(lesson, browser, lab, ip)


@app.command()
def doctor() -> None:
    """Say whether this machine is fit for the course, and what to do where it is not."""
    from underload.doctor import examine

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "what", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    with console.status("Looking around, and starting each server for a moment"):
        findings = list(examine())
    for finding in findings:
        table.add_row(finding.mark, finding.what, finding.found, finding.advice)
    console.print(table)
    if any(finding.serious for finding in findings):
        raise typer.Exit(1)


@app.command()
def load(
    url: Annotated[str, typer.Argument(help="Where to send the requests.")],
    users: Annotated[
        int | None,
        typer.Option(help="Closed workload: users that wait for each answer. With --rate: connections."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Open workload: requests a second, come what may.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 3.0,
    method: Annotated[str, typer.Option(help="The HTTP method.", show_default="GET, with a body POST")] = "",
    body: Annotated[str | None, typer.Option(help="A JSON body.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Put load on a service and print what was measured."""
    from underload.loading import load as run

    method = method or ("GET" if body is None else "POST")
    headers = {} if body is None else {"Content-Type": "application/json"}
    result = run(url, users=users, rate=rate, seconds=seconds, method=method, body=body, headers=headers)
    if json:
        print(json_module.dumps(result.to_dict()))
    else:
        print(result)
        for kind, count in result.error_counts.items():
            print(f"  {kind} × {count:,}")


@app.command()
def bench(
    quick: Annotated[bool, typer.Option(help="Shorter runs, one of each kind: indicative only.")] = False,
) -> None:
    """Measure this instrument against wrk, k6 and its own budgets."""
    from underload import noise
    from underload.bench import QUICK, THOROUGH, left_out, measure

    if (others := noise.listen().others) > 0.1:
        console.print(f"Other programs use {others:.0%} of all cores: let them end, or bars will be missed.")
    met = []
    for row in measure(QUICK if quick else THOROUGH):
        met.append(row.met)
        line = Table.grid(expand=True, padding=(0, 2, 0, 0))
        for share in (1, 18, 18, 12):  # of the width, so that one row aligns with the next
            line.add_column(ratio=share)
        line.add_row("✔" if row.met else "✘", row.what, row.measured, row.bar)
        console.print(line)
    for sentence in left_out():
        console.print(sentence)
    if not all(met):
        raise typer.Exit(1)


@app.command()
def release(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a lab differs.")] = False,
) -> None:
    """Make the labs from their solutions. A lab that someone has worked on is left alone."""
    from underload.authoring import release as publish

    said = publish(check)
    for sentence in said:
        print(sentence)
    if check and said:
        raise typer.Exit(1)


@app.command()
def grade(
    submissions: Annotated[
        Path, typer.Argument(help="What was handed in: a folder or a zip archive of it, or one notebook.")
    ],
    out: Annotated[Path, typer.Option(help="The folder of the report.")],
    jobs: Annotated[int, typer.Option(min=1, help="How many notebooks to run side by side.")] = 1,
    shard: Annotated[str, typer.Option(help="Which part of how many, such as 2/5.")] = "1/1",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run stopped.")] = False,
    isolate: Annotated[
        Isolate, typer.Option(help="Sandboxes: if possible, or not at all without them.")
    ] = Isolate.auto,
    cell_seconds: Annotated[float, typer.Option(min=1, help="How long one cell may take.")] = 120,
    fail_under: Annotated[
        float, typer.Option(min=0, max=100, help="Exit with status 3 if a lab has less than so many percent.")
    ] = 0,
) -> None:
    """Grade labs by what their services do, and write gradebook.csv, junit.xml and a page for each."""
    from underload.grading import Command

    required = isolate == Isolate.required
    Command(submissions, out, jobs, shard, resume, required, cell_seconds, fail_under).run()


@services_app.command("status")
def services_status() -> None:
    """Show which servers run, without starting any."""
    from underload import services

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("service", "state", "where", "version", "process"):
        table.add_column(heading)
    for service in services.status():
        state = "running" if service.running else "stopped"
        table.add_row(service.name, state, service.where, service.version, str(service.pid or ""))
    console.print(table)


@services_app.command("stop")
def services_stop() -> None:
    """End every server this course has started."""
    from underload import services

    stopped = services.stop()
    print(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")


def main() -> None:
    """Run the command; an error of the user's is one sentence, not a traceback."""
    try:
        app()
    except UnderloadError as error:
        sys.exit(f"underload: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
