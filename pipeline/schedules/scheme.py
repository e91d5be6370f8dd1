"""The scheme as a row of the table, the parameters that several schemes share, and checks across parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pipeline.schedules.parameters import Bounds, Choice, Float, Int, Parameter, Value
from pipeline.schedules.timeline import Array

Check = Callable[[Mapping[str, Value]], str]
Rewrite = Callable[[Array, int, Sequence[float], Mapping[str, Value]], Array]


def nothing_wrong(params: Mapping[str, Value]) -> str:
    """Return "", for a scheme whose parameters do not depend on each other."""
    return ""


@dataclass(frozen=True)
class Scheme:
    """One decay scheme.

    Attributes:
        formula: Called as `formula(x, length, initial_lr, **parameters)`, see `decays` and `cycles`.
        complexity: 0 for the constant rate, more for elaborate schemes; for people who choose among equals.
        parameters: Its own parameters; every scheme also has those of `COMMON`.
        monotone: True if the curve never rises, so that `initial_lr` is its first rate; otherwise it is the peak.
        searchable: False if a search cannot compress the curve into a smaller budget: schemes with absolute times, and
            those that react to validations, of which a smaller budget has fewer.
        check: Returns what is wrong with parameters that are each within their range, or "".
        rewrite: Recomputes the rest of the curve from the validation losses, see `decays.rewrite`.

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
    """Check that the milestones increase."""
    times = [float(time) for time in str(params["milestones"]).split(":")]
    increasing = all(early < late for early, late in pairwise(times))
    return "" if increasing else f"parameter 'milestones' must increase; received {params['milestones']!r}"


def factors_fit_milestones(params: Mapping[str, Value]) -> str:
    """Check that there is one more factor than milestones."""
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


NOT_NEGATIVE = Bounds(0.0, 1e12)
FRACTION = Bounds(0.0, 1.0)
POSITIVE_FRACTION = Bounds(0.0, 1.0, low_open=True)
FRACTION_BELOW_1 = Bounds(0.0, 1.0, high_open=True)
COUNT = Bounds(1, 1_000_000)

WARMUP = Parameter(
    "warmup", 0.0, "linear warm-up, as a fraction of all updates", FRACTION_BELOW_1, wide=Choice((0.0, 0.02, 0.05, 0.1))
)
WARMUP_START = Parameter("warmup_start", 0.0, "where the warm-up starts, as a fraction of initial_lr", FRACTION)
COMMON = (WARMUP, WARMUP_START)
"""Parameters of every scheme."""

UNIT = Parameter("unit", "fraction", "unit of all times", kind="str", choices=("fraction", "epoch", "step"))
WHOLE_UNIT = Parameter("unit", "epoch", "unit of time", kind="str", choices=("epoch", "step"))
LENGTH = Parameter("decay_length", 0.0, "time the decay takes; 0: the whole training", NOT_NEGATIVE, is_time=True)
PERIOD = replace(LENGTH, description="time per decay_rate; 0: the whole training")
STAIRCASE = Parameter("staircase", False, "count only whole decay lengths", kind="bool")
OFFSET = Parameter("offset", 0.0, "added to the time", NOT_NEGATIVE, is_time=True)
FINAL = Parameter("final_fraction", 0.0, "rate at the end, as a fraction of initial_lr", FRACTION)
DROP = Parameter("drop_rate", 0.2, "factor of each drop", POSITIVE_FRACTION, search=Float(0.05, 0.7, log=True))
DROPS = Parameter("drops", 3, "number of drops in the training", COUNT, "int", search=Int(1, 5))
STEP_SIZE = Parameter("step_size", 0.0, "time between drops; 0: as drops says", NOT_NEGATIVE, is_time=True)
MILESTONES = Parameter("milestones", "0.5:0.75", "times of the changes", NOT_NEGATIVE, "numbers", is_time=True)
FACTORS = Parameter(
    "factors", "1:0.1:0.01", "rates around the milestones, as fractions of initial_lr", FRACTION, "numbers"
)
POWER = Parameter(
    "power", 2.0, "exponent", Bounds(0.0, 20.0, low_open=True), search=Float(0.5, 3.0), wide=Float(0.5, 6.0)
)
BETA = Parameter("beta", 0.5, "1: a straight line; less: a later fall", POSITIVE_FRACTION)
LOWER = Parameter("lower", -6.0, "argument of tanh at the start", Bounds(-20.0, 0.0), search=Float(-8.0, -3.0))
UPPER = Parameter("upper", 3.0, "argument of tanh at the end", Bounds(0.0, 20.0, low_open=True))
COOLDOWN = Parameter(
    "decay_fraction",
    0.3,
    "length of the cooldown, as a fraction of the updates after the warm-up",
    Bounds(1e-6, 1.0),
    search=Float(0.1, 0.7),
    wide=Float(0.05, 1.0),
)
_SHAPES = ("linear", "cosine", "1-sqrt")
SHAPE = Parameter("shape", "1-sqrt", "shape of the cooldown", kind="str", choices=_SHAPES, wide=Choice(_SHAPES))
RISE = Parameter(
    "warm_fraction",
    0.3,
    "length of the rise, as a fraction of the training",
    Bounds(1e-6, 1.0, high_open=True),
    search=Float(0.1, 0.45),
)
RISE_TIME = Parameter("warm_length", 0.0, "time the rise takes; 0: as warm_fraction says", NOT_NEGATIVE, is_time=True)
BASE = Parameter(
    "base_fraction", 0.1, "lowest rate, as a fraction of initial_lr", FRACTION, search=Float(0.01, 0.3, log=True)
)
CYCLES = Parameter("cycles", 3, "number of cycles in the training", Bounds(1, 100), "int", search=Int(1, 5))
CYCLE_TIME = Parameter("cycle_length", 0.0, "time a cycle takes; 0: as cycles says", NOT_NEGATIVE, is_time=True)
GROWTH = Parameter(
    "cycle_growth",
    2.0,
    "length of a cycle, as a multiple of the one before",
    Bounds(1.0, 10.0),
    search=Choice((1.0, 2.0)),
)
START = Parameter("start_fraction", 0.04, "rate at the start, as a fraction of initial_lr", FRACTION)
ANNEAL = Parameter("anneal", "cosine", "shape of each phase", kind="str", choices=("cosine", "linear"))
PHASES = Parameter("phases", 2, "2: up, down; 3: up, down, further down", kind="int", choices=(2, 3))
ENDPOINT = Parameter("endpoint", False, "phases end at an update of their own, as in PyTorch", kind="bool")
PATIENCE = Parameter(
    "patience",
    0.1,
    "time without improvement before a drop, at least one validation",
    NOT_NEGATIVE,
    is_time=True,
    search=Float(0.05, 0.25),
)
