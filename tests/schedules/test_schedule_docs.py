"""The page about the schemes agrees with the table in the code."""

import runpy
from pathlib import Path

from pipeline.schedules import ARTICLE_FORMS, SCHEMES, curve, parse_params

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8")


def test_the_page_has_the_tables_of_the_code() -> None:
    """Names, defaults, ranges, searches, first and last rates; `python scripts/draw_schedules.py` writes it."""
    script = runpy.run_path(str(ROOT / "scripts" / "draw_schedules.py"))
    assert f"{script['START']}\n{script['tables']()}\n{script['END']}" in PAGE


def test_the_experiments_parameters_on_the_page_are_those_of_the_code() -> None:
    """Typed as on the page, they give the same curve as the form in the code."""
    for text, form in (
        ("unit=step,decay_length=1000,decay_rate=0.96,staircase=true", "geeksforgeeks_experiment"),
        ("decrement=0.00001,offset=1", "machinecurve_linear"),
        ("unit=epoch,drop_rate=0.5,step_size=15,offset=1", "machinecurve_step"),
        ("decay_rate=0.0000015", "machinecurve_time"),
    ):
        scheme, params = ARTICLE_FORMS[form]
        assert f"| `{scheme}`, `{text}` |" in PAGE
        training = {"steps": 3_000, "steps_per_epoch": 100, "initial_lr": 0.1}
        typed = curve(scheme, **training, params=parse_params(text))  # type: ignore[arg-type]
        assert (typed == curve(scheme, **training, params=params)).all()  # type: ignore[arg-type]


def test_the_picture_is_there() -> None:
    """The page shows a picture of all schemes."""
    assert "](schedules.png)" in PAGE
    assert (ROOT / "docs" / "schedules.png").read_bytes().startswith(b"\x89PNG")
    assert len(SCHEMES) > 20
