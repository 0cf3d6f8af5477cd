"""Links between the pages lead somewhere, and the index knows every page."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .pages import DOCS, ROOT, examples

PAGES = sorted([*DOCS.glob("*.md"), *(ROOT / "deploy").glob("*.md"), *ROOT.glob("*.md")])
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def links(page: Path) -> Iterator[str]:
    yield from (link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as hosts of repositories make them."""
    headings = _HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


CASES = [pytest.param(page, link, id=f"{page.relative_to(ROOT)}-{link}") for page in PAGES for link in links(page)]


@pytest.mark.parametrize(("page", "link"), CASES)
def test_every_link_leads_somewhere(page: Path, link: str) -> None:
    name, _, anchor = link.partition("#")
    target = (page.parent / name) if name else page
    assert target.exists(), f"{page.relative_to(ROOT)}: {link} leads nowhere"
    assert not anchor or anchor in anchors(target), f"{page.relative_to(ROOT)}: no heading for {link}"


def test_the_index_lists_every_page() -> None:
    listed = set(links(DOCS / "README.md"))
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_fences_are_closed(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    fences = re.findall(r"^\s*```", text, re.MULTILINE)
    assert len(fences) % 2 == 0
    assert all(examples(text, "yaml"))
