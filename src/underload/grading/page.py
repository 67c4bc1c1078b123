"""The page that a learner reads: one file, no scripts, and whatever hostile code said is only text."""

from collections.abc import Iterator
from html import escape

from underload.grading.names import printable
from underload.grading.record import FAILED, Record
from underload.judge import Verdict

STATUS = {
    "graded": ("Graded", ""),
    "rejected": (
        "Not graded",
        "The notebook was not run, and counts 0 points for now: put this right and submit it again.",
    ),
    "ignored": ("Not graded", "This costs no points: what counts was graded, or was not meant to be."),
    "broken": (
        "A cell failed",
        "The checks that could be judged count. Restart the kernel and run all cells, so that each code cell "
        "shows its number; mend the first that ends with an error, and submit again.",
    ),
    "timeout": (
        "Out of time",
        "The checks that were judged before count. Restart the kernel, run all cells from top to bottom, "
        "find the one that does not end, and submit again.",
    ),
    "crashed": (
        "Ended early",
        "The checks that were judged before count. Restart the kernel, run all cells from top to bottom, "
        "find the one that ends the kernel, and submit again.",
    ),
}
BLAMELESS = (
    "Not graded yet",
    "That is not the notebook's fault, and the points above are not final: the same command is run again "
    "with --resume.",
)

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1f2328; --quiet: #59636e; --line: #d8dee4;
  --raised: #f6f8fa; --good: #00694f; --bad: #b3261e; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171a; --ink: #e6e9ec; --quiet: #a0a9b2;
  --line: #343b42; --raised: #1c2126; --good: #4cc9a0; --bad: #ff8a80; --accent: #6cb8ee; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 46rem; padding: 2.5rem 1.25rem 4rem; background: var(--ground);
  color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
header { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: end; justify-content: space-between; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; letter-spacing: -.015em; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.1rem; }
h3 { margin: 0; font-size: 1rem; font-weight: 600; }
p { margin: .4rem 0; }
.quiet { color: var(--quiet); }
.score { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.score strong { font-size: 2.6rem; line-height: 1; letter-spacing: -.03em; }
.bar { display: flex; gap: 3px; height: .5rem; margin: 1.25rem 0 0; padding: 0; list-style: none; }
.bar li { border-radius: 2px; background: var(--line); }
.bar .passed { background: var(--good); }
aside { margin-top: 1.5rem; padding: .75rem 1.1rem; background: var(--raised);
  border-left: 4px solid var(--bad); }
aside h2 { margin-top: 0; }
aside.note { border-color: var(--accent); }
ol.checks { margin: 0; padding: 0; list-style: none; border-top: 1px solid var(--line); }
ol.checks > li { display: grid; grid-template-columns: 1.6rem 1fr auto; gap: 0 .5rem; padding: .9rem 0;
  border-bottom: 1px solid var(--line); }
.mark { color: var(--bad); font-weight: 700; }
.passed > .mark { color: var(--good); }
.worth { color: var(--quiet); font-variant-numeric: tabular-nums; white-space: nowrap; }
.detail { grid-column: 2 / -1; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: .6rem 0 0; }
dt { color: var(--quiet); }
dd { margin: 0; white-space: pre-wrap; unicode-bidi: isolate; }
code, .said { font-family: ui-monospace, monospace; font-size: .9em; }
footer { margin-top: 3rem; color: var(--quiet); font-size: .85rem; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
"""


def page(record: Record) -> str:
    """Return the feedback on one submission as a page of HTML."""
    title = f"{record.lab or 'No lab'}: {record.points} of {record.possible} points"
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            f"<title>{_said(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>",
            *_head(record),
            *_reason(record),
            *_checks(record),
            *_restored(record),
            f"<footer>Judged from outside, by what the service did, in {record.seconds:,.1f} s.</footer>"
            if record.was_run
            else "",
            "</main>\n</body>\n</html>\n",
        ]
    )


def _head(record: Record) -> Iterator[str]:
    yield f"<header>\n<div><h1>{_said(record.lab or 'No lab')}</h1>"
    yield f'<p class="quiet"><bdi>{_said(record.student)}</bdi> · {STATUS[record.status][0]}</p>'
    yield f'<p class="quiet"><bdi>{_said(record.file)}</bdi></p></div>'
    yield f'<p class="score"><strong>{record.points}</strong> of {record.possible} points</p>\n</header>'
    if record.possible:
        yield '<ul class="bar" aria-hidden="true">'
        for check in record.checks:
            yield f'<li class="{_kind(check)}" style="flex: {check.possible}"></li>'
        yield "</ul>"


def _reason(record: Record) -> Iterator[str]:
    if record.reason:
        what, advice = BLAMELESS if record.reason.startswith(FAILED) else STATUS[record.status]
        yield f"<aside>\n<h2>{what}</h2>"
        yield f"<p>{_said(record.reason)}</p>\n<p>{advice}</p>\n</aside>"
    elif record.remark:
        yield f'<aside class="note">\n<h2>{STATUS["broken"][0]}</h2>'
        yield f"<p>{_said(record.remark)}</p>\n<p>All checks were judged nevertheless.</p>\n</aside>"


def _checks(record: Record) -> Iterator[str]:
    if record.checks:
        yield '<h2>What was asked</h2>\n<ol class="checks">'
        for check in record.checks:
            yield from _check(check)
        yield "</ol>"


def _check(check: Verdict) -> Iterator[str]:
    mark, word = ("✔", "met") if check.passed else ("✘", "not met")
    yield f'<li class="{_kind(check)}"><span class="mark" role="img" aria-label="{word}">{mark}</span>'
    yield f"<h3>{_said(check.requirement)}</h3>"
    yield f'<span class="worth">{check.points} of {check.possible}</span>'
    yield f'<div class="detail"><span class="quiet"><code>{_said(check.name)}</code></span>'
    if rows := _rows(check):
        yield "<dl>"
        for label, text in rows.items():
            kind = ' class="said"' if label == "observed" else ""
            yield f"<dt>{label}</dt><dd{kind}>{_said(text)}</dd>"
        yield "</dl>"
    yield "</div></li>"


def _rows(check: Verdict) -> dict[str, str]:
    if check.passed:
        return {"measured": check.observed} if check.observed else {}
    return check.explanation(hint=True)


def _restored(record: Record) -> Iterator[str]:
    if record.restored_cells:
        yield '<aside class="note">\n<h2>Put right before grading</h2>'
        yield "<p>The lab cell and the checks are always graded as they were released.</p>\n<ul>"
        for phrase in record.restored_cells:
            yield f"<li>{_said(phrase)}</li>"
        yield "</ul>\n</aside>"


def _kind(check: Verdict) -> str:
    return "passed" if check.passed else "failed"


def _said(text: str) -> str:
    """Return a text as HTML, with what no page shows made visible."""
    return escape(printable(text, kept="\n"))
