"""Links between the pages of the documentation lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, REPORTS, ROOT

EVERY = [*PAGES, *REPORTS, ROOT / "CHANGELOG.md"]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return what a link may name within a page: headings, as GitHub writes them, and ids."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    again = (f"{slug}-{slugs[:place].count(slug)}" for place, slug in enumerate(slugs) if slug in slugs[:place])
    return {*slugs, *again, *re.findall(r'<a id="([^"]+)">', text)}


def broken(page: Path) -> Iterator[str]:
    """Yield the links of a page that lead nowhere on disk; other sites are not asked."""
    for link in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            yield link


@pytest.mark.parametrize("page", EVERY, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """To a file, and in it to a heading or an id."""
    assert list(broken(page)) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    """Of a file and of a heading; links to what is there are none."""
    page = tmp_path / "page.md"
    page.write_text("# It's here\n\n[a](b.md) [b](#heading) [c](page.md#its-here) [d](#its-here) [e](https://a.org)\n")
    assert list(broken(page)) == ["b.md", "#heading"]
