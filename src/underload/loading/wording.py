"""A run in words: one line, or a table in a notebook."""

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from underload.loading.result import Result

FEW = 3  # redirects of each kind that are named


def line(run: "Result") -> str:
    """Return a run in one line."""
    if run.latencies_ms.size:
        figures = f"{number(run.throughput)} req/s · p50 {percentile(run, 50)} · p99 {percentile(run, 99)}"
    else:
        figures = "no answers"
    parts = [run.workload, f"{run.seconds:g} s", figures, _counted(run.errors, "error")]
    if run.errors and run.exception:
        parts.append(f"last exception: {run.exception}")
    parts += [_introduced(doubt.about) + doubt.sentence for doubt in run.doubts]
    return " · ".join(parts)


def table(run: "Result") -> str:
    """Return a run as HTML: a table of its figures, its errors, and what speaks against them."""
    cells = [
        ("requests/s", number(run.throughput)),
        ("p50", percentile(run, 50)),
        ("p95", percentile(run, 95)),
        ("p99", percentile(run, 99)),
        ("max", percentile(run, 100)),
        ("errors", f"{run.errors:,} of {run.requests:,}"),
    ]
    head = "".join(f"<th style='text-align:right'>{name}</th>" for name, _ in cells)
    body = "".join(f"<td style='text-align:right'>{value}</td>" for _, value in cells)
    caption = f"{run.workload} for {run.seconds:g} s" + (f", seed {run.seed}" if run.seed is not None else "")
    lines = "".join(f"<div>{note}</div>" for note in _notes(run))
    return (
        f"<div class='underload-measured'><table><caption style='text-align:left'>{caption}</caption>"
        f"<tr>{head}</tr><tr>{body}</tr></table>{lines}</div>"
    )


def _notes(run: "Result") -> Iterator[str]:
    for kind, count in run.error_counts.items():
        yield html.escape(f"{kind} × {count:,}")
    if run.exception:
        yield html.escape(f"last exception: {run.exception}")
    for doubt in run.doubts:
        heading = _introduced(doubt.about).removesuffix(": ").capitalize()
        yield f"<b>{heading}.</b> {html.escape(doubt.sentence)}"


def _introduced(about: str) -> str:
    return f"{'' if about == 'all' else about + ' '}not to be trusted: "


def workload(users: int | None, rate: float | None) -> str:
    """Return a workload in words, such as "50 users" or "300/s offered"."""
    if rate is None:
        return _counted(users, "user")
    return f"{rate:,g}/s offered" + (f" over {_counted(users, 'connection')}" if users else "")


def percentile(run: "Result", percent: float) -> str:
    """Return a latency in words, such as "12 ms", "≥ 500 ms", or "–" if there is none."""
    value = run.percentile_ms(percent)
    if value != value:
        return "–"
    return f"{'≥ ' if run.at_least(percent) else ''}{number(value)} ms"


def number(value: float) -> str:
    """Return ``value`` with the three figures that one run can carry."""
    return f"{value:,.0f}" if value == 0 or abs(value) >= 100 else f"{value:.3g}"


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' if count != 1 else ''}"
