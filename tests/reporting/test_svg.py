from itertools import chain

import pytest
from matplotlib.figure import Figure

from pipeline.reporting import style
from pipeline.reporting.style import INK, PALETTE
from tests.reporting.page import Page


def _figure(title: str = "title") -> Figure:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1, 2], [0, 1, 0.123456789], color=PALETTE["blue"], marker="o", clip_on=True)
    axes.set_title(title, color=INK)
    return figure


def test_colours_and_fonts_are_left_to_the_style_sheet() -> None:
    """So one drawing serves light and dark."""
    drawn = style.inline(_figure(), "a", "words")
    assert "var(--blue)" in drawn
    assert "var(--ink)" in drawn
    assert "var(--font)" in drawn
    assert PALETTE["blue"] not in drawn
    assert "DejaVu" not in drawn


def test_two_figures_share_no_id_and_every_reference_is_found() -> None:
    """Otherwise the clipping and markers of one figure would apply to the other."""
    parsed = [Page(style.inline(_figure(), name, "words")) for name in ("a", "b")]
    ids = [{attributes["id"] for _, attributes in one.tags if "id" in attributes} for one in parsed]
    assert not ids[0] & ids[1]
    referred = {attributes["href"] for _, attributes in parsed[0].tags if "href" in attributes}
    clips = {attributes["clip-path"] for _, attributes in parsed[0].tags if "clip-path" in attributes}
    assert referred
    assert clips
    assert {reference.removeprefix("#") for reference in referred} <= ids[0]
    assert {clip.removeprefix("url(#").removesuffix(")") for clip in clips} <= ids[0]


def test_nothing_takes_space_for_nothing() -> None:
    """Every id is referred to, every group has attributes, and no line is indented."""
    drawn = style.inline(_figure(), "a", "words")
    tags = Page(drawn).tags
    assert all(f"#{attributes['id']}" in drawn for _, attributes in tags if "id" in attributes)
    assert all(attributes for tag, attributes in tags if tag == "g")
    assert "\n " not in drawn


def test_nothing_leaks_into_the_page_or_out_of_it() -> None:
    """No styles for the whole page, no metadata, no namespaces that name outside addresses."""
    parsed = Page(style.inline(_figure(), "a", "words"))
    assert not {"style", "metadata"} & {tag for tag, _ in parsed.tags}
    values = chain.from_iterable(attributes.values() for _, attributes in parsed.tags)
    assert not [value for value in values if "://" in value]


def test_it_scales_and_speaks() -> None:
    """A view box without a fixed size, and a description for screen readers."""
    tag, attributes = Page(style.inline(_figure(), "a", 'a "quoted" <description>')).tags[0]
    assert tag == "svg"
    assert "viewbox" in attributes
    assert "width" not in attributes
    assert (attributes["role"], attributes["aria-label"]) == ("img", 'a "quoted" <description>')


def test_the_same_figure_gives_the_same_text() -> None:
    """No date, no random ids."""
    assert style.inline(_figure(), "a", "words") == style.inline(_figure(), "a", "words")


@pytest.mark.parametrize("title", ["<script>alert(1)</script>", 'x" onload="alert(1)', "&amp;"])
def test_text_stays_text(title: str) -> None:
    """Text that looks like markup is shown as text."""
    parsed = Page(style.inline(_figure(title), "a", "words"))
    assert title in parsed.visible
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert not any("onload" in attributes for _, attributes in parsed.tags)


def test_the_values_of_lines_can_be_read() -> None:
    """Each point of a named or marked line where it is drawn, and what it says; not noise, nor what is out of sight."""
    figure, (axes,) = style.canvas(4.0, 2.0, fitted=False)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    axes.set(xlim=(0, 10), ylim=(0, 100))
    axes.plot([0, 5, 99], [0, 50, 50], label="cosine", marker="o")
    axes.plot([5.0], [25.0], marker="s", linestyle="none")
    axes.plot([1, 2], [3, 4], label="each seed", alpha=0.3)
    axes.axvline(3)
    style.label(axes, x="epoch", y="loss")
    tags = Page(style.inline(figure, "a", "words"))
    circles = [attributes for tag, attributes in tags.tags if tag == "circle"]
    assert [(float(one["cx"]), float(one["cy"])) for one in circles] == [(0, 144), (144, 72), (144, 108)]
    assert tags.text("title") == ["cosine: epoch 0, loss 0", "cosine: epoch 5, loss 50", "epoch 5, loss 25"]


def test_a_panel_is_read_by_its_title_and_by_the_axis_that_it_shares() -> None:
    """A long line is read at some of its points only, the first and the last among them."""
    figure, panels = style.canvas(4.0, 2.0, columns=2, sharey=True)
    style.label(panels[0], y="loss")
    style.label(panels[1], title="Validation $")
    panels[1].plot(range(1000), range(1000), label="rex")
    texts = Page(style.inline(figure, "a", "words")).text("title")
    assert len(texts) == 40
    assert (texts[0], texts[-1]) == ("Validation $, rex: loss 0", "Validation $, rex: loss 999")
