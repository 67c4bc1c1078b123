"""The README's numbers and picture come from the lessons as committed, and its links lead somewhere."""

import base64
import re
from pathlib import Path

import nbformat
import pytest

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text()
LESSONS = re.findall(r"^\| \d\d[a-z]? \| \[.*?\]\((.*?)\) \| .* \|$", README, re.MULTILINE)
ABOVE, _, BELOW = README.partition("<details>")
FOLDED, _, _ = BELOW.partition("</details>")
HEADLINES = re.findall(r"^- \[\d\d[a-z]?\]\((.*?)\): (.*)$", FOLDED, re.MULTILINE)


def outputs(notebook):
    for cell in nbformat.read(CHECKOUT / notebook, as_version=4).cells:
        for output in cell.get("outputs", []):
            yield output.get("data", {"text/plain": output.get("text", "")})


def test_every_lesson_is_on_the_map():
    assert [f"notebooks/{path.name}" for path in sorted((CHECKOUT / "notebooks").glob("*.ipynb"))] == LESSONS
    assert [link for link, _ in HEADLINES] == LESSONS


def test_no_answer_of_a_lesson_is_told_before_it_is_asked_for():
    assert not [figure for figure in re.findall(r"\*\*(.*?)\*\*", FOLDED) if figure in ABOVE]
    assert "![" not in ABOVE


@pytest.mark.parametrize("link, measured", HEADLINES)
def test_each_headline_was_measured_in_its_lesson(link, measured):
    figures = re.findall(r"\*\*(.*?)\*\*", measured)
    said = "\n".join(data.get("text/plain", "") for data in outputs(link))
    assert figures and not [figure for figure in figures if figure not in said]


def test_the_picture_is_a_figure_of_lesson_01():
    picture = CHECKOUT / re.search(r"!\[.*?\]\((.*?)\)", README)[1]
    drawn = [data["image/png"] for data in outputs("notebooks/01-blocking.ipynb") if "image/png" in data]
    assert picture.read_bytes() in [base64.b64decode(png) for png in drawn]


def test_every_link_to_a_file_leads_somewhere():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links and not [link for link in links if not (CHECKOUT / link).exists()]
