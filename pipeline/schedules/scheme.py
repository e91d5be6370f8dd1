"""What the table holds for each scheme."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.schedules.parameters import Parameter, Value
from pipeline.schedules.timeline import Array

Check = Callable[[Mapping[str, Value]], str]
Rewrite = Callable[[Array, int, Sequence[float], Mapping[str, Value]], Array]


def nothing_wrong(params: Mapping[str, Value]) -> str:
    """Check nothing, for a scheme whose parameters do not depend on each other."""
    return ""


@dataclass(frozen=True)
class Scheme:
    """One decay scheme.

    Attributes:
        formula: Called as `formula(x, length, initial_lr, **parameters)`, see `decays` and `cycles`.
        complexity: 0 is the constant rate; of schemes that do equally well, the one of the lowest complexity is best.
        parameters: Its own parameters; every scheme also has those of `table.COMMON`.
        monotone: The curve never rises, so that `initial_lr` is its first rate; otherwise it is the peak.
        searchable: False for what a search could not compress into a smaller budget: forms in absolute lengths, and
            schemes that react to validations, of which a smaller budget has fewer.
        check: Returns what is wrong with parameters that are each within their range, or "".
        rewrite: Computes the rest of the curve anew from the validation losses, see `plateau`.

    """

    name: str
    formula: Callable[..., Array]
    complexity: int
    summary: str
    parameters: tuple[Parameter, ...] = ()
    monotone: bool = True
    searchable: bool = True
    check: Check = nothing_wrong
    rewrite: Rewrite | None = None

    @property
    def reactive(self) -> bool:
        """Whether the curve depends on the validation losses."""
        return self.rewrite is not None


def milestones_increase(params: Mapping[str, Value]) -> str:
    """Check that each milestone is after the one before."""
    times = [float(time) for time in str(params["milestones"]).split(":")]
    increasing = all(early < late for early, late in pairwise(times))
    return "" if increasing else f"parameter 'milestones' must increase; received {params['milestones']!r}"


def factors_fit_milestones(params: Mapping[str, Value]) -> str:
    """Check that there is one factor more than milestones."""
    expected = str(params["milestones"]).count(":") + 2
    if str(params["factors"]).count(":") + 1 != expected:
        return (
            f"parameter 'factors' must be {expected} numbers, one more than milestones; received {params['factors']!r}"
        )
    return milestones_increase(params)


def room_for_last_phase(params: Mapping[str, Value]) -> str:
    """Check that three phases, the second as long as the first, leave time for the third."""
    if params["phases"] == 3 and float(params["warm_fraction"]) >= 0.5:
        return f"parameter 'warm_fraction' must be below 0.5 in 3 phases; received {params['warm_fraction']}"
    return ""
