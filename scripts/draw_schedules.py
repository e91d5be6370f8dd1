"""Draw all schemes in docs/schedules.png and write their tables in docs/schedules.md, from the table in the code.

Run in the project's environment:

    python scripts/draw_schedules.py
"""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipeline.schedules import (
    COMMON,
    SCHEMES,
    Array,
    Choice,
    Float,
    Parameter,
    Scheme,
    Value,
    curve,
    format_params,
    rewriter,
)

DOCS = Path(__file__).parent.parent / "docs"
START, END = "<!-- tables: written by scripts/draw_schedules.py -->", "<!-- end of tables -->"
STEPS, STEPS_PER_EPOCH = 3_000, 100
DRAWN: dict[str, dict[str, Value]] = {
    # Parameters of schemes whose defaults would draw an almost flat line.
    "linear_decrement": {"decrement": 0.03},
    "time": {"decay_rate": 0.005},
    "inverse_time": {"decay_rate": 10.0},
}
PLATEAU = [1.0, 0.7, 0.5, 0.4, *[0.35] * 8, 0.3, 0.27, *[0.25] * 16]


def text_of(value: Value) -> str:
    """Return a value as it is typed on the command line."""
    return format_params({"": value})[1:]


def searched(parameter: Parameter) -> str:
    """Return the range that a search covers, in words."""
    space = parameter.search
    if space is None:
        return ""
    if isinstance(space, Choice):
        return " or ".join(text_of(option) for option in space.options)
    return f"{space.low:g} to {space.high:g}" + (" (log)" if isinstance(space, Float) and space.log else "")


def scheme_row(name: str, scheme: Scheme) -> tuple[str, ...]:
    """Return a scheme's cells; its first and last rate are those of 1,000 updates at initial_lr = 1."""
    rates = curve(name, steps=1_000, steps_per_epoch=100, initial_lr=1.0)
    given = " ".join(f"`{parameter.name}={text_of(parameter.default)}`" for parameter in scheme.parameters)
    limits = (str(scheme.complexity), "yes" if scheme.searchable else "no", f"{rates[0]:.4g}", f"{rates[-1]:.4g}")
    return (f"`{name}`", scheme.summary, *limits, given)


def parameter_rows() -> list[tuple[str, ...]]:
    """Return the cells of each parameter; schemes that give it the same meaning and values share a row."""
    users: dict[Parameter, list[str]] = {parameter: ["all"] for parameter in COMMON}
    for name, scheme in SCHEMES.items():
        for parameter in scheme.parameters:
            users.setdefault(replace(parameter, default=""), []).append(name)
    return [
        (f"`{parameter.name}`", parameter.description, parameter.accepted, searched(parameter), ", ".join(names))
        for parameter, names in sorted(users.items(), key=lambda item: item[0].name)
    ]


def markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))


def tables() -> str:
    """Return the tables of all schemes and of their parameters."""
    schemes = markdown(
        ("scheme", "shape", "complexity", "searchable", "first", "last", "parameters with their defaults"),
        (scheme_row(name, scheme) for name, scheme in SCHEMES.items()),
    )
    parameters = markdown(("parameter", "meaning", "accepted", "searched", "schemes"), parameter_rows())
    return f"{schemes}\n\n{parameters}"


def drawn_rates(name: str) -> Array:
    """Return the curve to draw; a reactive scheme's is rewritten by an invented history of losses."""
    params = DRAWN.get(name, {})
    rates = curve(name, steps=STEPS, steps_per_epoch=STEPS_PER_EPOCH, initial_lr=1.0, params=params)
    rewrite = rewriter(name, params)
    if rewrite is not None:
        for epoch in range(1, len(PLATEAU) + 1):
            rates = rewrite(rates, epoch * STEPS_PER_EPOCH, PLATEAU[:epoch])
    return rates


def draw(path: Path) -> None:
    """Draw every scheme in a panel of its own."""
    import matplotlib.pyplot as plt

    columns = 4
    rows = -(-len(SCHEMES) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(13, 2.1 * rows), sharex=True, sharey=True, layout="constrained")
    for panel in axes.flat[len(SCHEMES) :]:
        panel.set_axis_off()
    for panel, name in zip(axes.flat, SCHEMES, strict=False):
        changed = ", ".join(f"{key}={value}" for key, value in DRAWN.get(name, {}).items())
        panel.plot([step / STEPS for step in range(STEPS)], drawn_rates(name), linewidth=1.8, color="#1f5fa8")
        panel.set_title(name + (f"\n({changed})" if changed else ""), fontsize=11)
        panel.grid(alpha=0.3)
        panel.set_ylim(-0.03, 1.08)
    figure.supxlabel("fraction of the training")
    figure.supylabel("rate, as a fraction of initial_lr")
    figure.savefig(path, dpi=80)


def main() -> int:
    """Write both files."""
    page = (DOCS / "schedules.md").read_text(encoding="utf-8")
    before, rest = page.split(START)
    after = rest.split(END)[1]
    (DOCS / "schedules.md").write_text(f"{before}{START}\n{tables()}\n{END}{after}", encoding="utf-8")
    draw(DOCS / "schedules.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
