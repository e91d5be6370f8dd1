"""The table of all schemes.

`initial_lr` is the one rate by which every scheme is tuned: the first rate of the schemes that never rise (`monotone`),
the highest rate of the others.
"""

from dataclasses import replace

from pipeline.schedules import cycles, decays, plateau
from pipeline.schedules import vocabulary as v
from pipeline.schedules.parameters import Float, Int, Parameter
from pipeline.schedules.scheme import Scheme, factors_fit_milestones, milestones_increase, room_for_last_phase

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("constant", decays.constant, 0, "the same rate throughout"),
        Scheme("linear", decays.linear, 1, "a straight line down", (v.LENGTH, v.FINAL, v.UNIT)),
        Scheme(
            "linear_decrement",
            decays.linear_decrement,
            1,
            "the same amount subtracted every epoch, down to 0",
            (
                Parameter("decrement", 1e-5, "subtracted per unit of time, a rate", v.NOT_NEGATIVE),
                v.OFFSET,
                v.WHOLE_UNIT,
            ),
            searchable=False,
        ),
        Scheme(
            "polynomial",
            decays.polynomial,
            1,
            "a power of the time that is left",
            (v.POWER, v.LENGTH, v.FINAL, v.UNIT),
        ),
        Scheme("cosine", decays.cosine, 1, "half a cosine down", (v.LENGTH, v.FINAL, v.UNIT)),
        Scheme(
            "exponential",
            decays.exponential,
            1,
            "the same factor in equal times",
            (
                Parameter(
                    "decay_rate",
                    0.01,
                    "factor per decay_length",
                    v.POSITIVE_FRACTION,
                    search=Float(0.001, 0.3, log=True),
                ),
                v.PERIOD,
                v.STAIRCASE,
                v.UNIT,
            ),
        ),
        Scheme(
            "natural_exponential",
            decays.natural_exponential,
            1,
            "a factor of e to the minus decay_rate every epoch",
            (Parameter("decay_rate", 0.1, "exponent per unit of time", v.NOT_NEGATIVE), v.WHOLE_UNIT),
            searchable=False,
        ),
        Scheme(
            "inverse_time",
            decays.inverse_time,
            1,
            "one over a line that rises with time",
            (
                Parameter(
                    "decay_rate",
                    30.0,
                    "rise of the divisor per decay_length",
                    v.NOT_NEGATIVE,
                    search=Float(3.0, 300.0, log=True),
                ),
                v.PERIOD,
                v.STAIRCASE,
                v.UNIT,
            ),
        ),
        Scheme(
            "time",
            decays.time_based,
            1,
            "divided every epoch by a line that rises with time",
            (Parameter("decay_rate", 1.5e-6, "rise of the divisor per unit of time", v.NOT_NEGATIVE), v.WHOLE_UNIT),
            searchable=False,
        ),
        Scheme(
            "step",
            decays.step,
            1,
            "a drop by the same factor at equal distances",
            (v.DROP, v.DROPS, v.STEP_SIZE, v.OFFSET, v.UNIT),
        ),
        Scheme(
            "multi_step",
            decays.multi_step,
            2,
            "a drop by the same factor at each milestone",
            (v.DROP, v.MILESTONES, v.UNIT),
            check=milestones_increase,
        ),
        Scheme(
            "piecewise_constant",
            decays.piecewise_constant,
            2,
            "any rates between milestones",
            (v.MILESTONES, v.FACTORS, v.UNIT),
            monotone=False,
            searchable=False,
            check=factors_fit_milestones,
        ),
        Scheme("rex", decays.rex, 1, "slow at first, steep at the end", (v.BETA, v.LENGTH, v.FINAL, v.UNIT)),
        Scheme(
            "hyperbolic_tangent",
            decays.hyperbolic_tangent,
            2,
            "a plateau, a fall and a tail",
            (v.LOWER, v.UPPER, v.LENGTH, v.FINAL, v.UNIT),
        ),
        Scheme(
            "warmup_stable_decay",
            cycles.warmup_stable_decay,
            2,
            "warm-up, constant, cooldown: a trapezoid",
            (v.COOLDOWN, v.SHAPE, v.FINAL, replace(v.WARMUP, default=0.05)),
            monotone=False,
        ),
        Scheme(
            "inverse_sqrt",
            cycles.inverse_sqrt,
            2,
            "a linear rise, then one over the square root of time (Noam)",
            (replace(v.RISE, default=0.1, search=Float(0.01, 0.3, log=True)), v.RISE_TIME, v.OFFSET, v.UNIT),
            monotone=False,
        ),
        Scheme(
            "cosine_restarts",
            cycles.cosine_restarts,
            3,
            "half a cosine down, again and again (SGDR)",
            (
                replace(v.CYCLES, search=Int(2, 5)),
                v.GROWTH,
                Parameter("peak_decay", 1.0, "height of a cycle, in heights of the last", v.FRACTION),
                Parameter(
                    "first_length", 0.0, "time of the first cycle; 0: as cycles says", v.NOT_NEGATIVE, is_time=True
                ),
                v.FINAL,
                v.UNIT,
            ),
            monotone=False,
        ),
        Scheme(
            "triangular",
            cycles.triangular,
            3,
            "straight up and down between two rates",
            (v.BASE, v.CYCLES, v.CYCLE_TIME, v.UNIT),
            monotone=False,
        ),
        Scheme(
            "triangular2",
            cycles.triangular2,
            3,
            "triangular, the height halved after each cycle",
            (v.BASE, v.CYCLES, v.CYCLE_TIME, v.UNIT),
            monotone=False,
        ),
        Scheme(
            "exp_range",
            cycles.exp_range,
            3,
            "triangular, the height falling exponentially",
            (
                v.BASE,
                v.CYCLES,
                v.CYCLE_TIME,
                Parameter("decay_rate", 0.1, "factor of the height per decay_length", v.POSITIVE_FRACTION),
                v.PERIOD,
                v.UNIT,
            ),
            monotone=False,
        ),
        Scheme(
            "one_cycle",
            cycles.one_cycle,
            3,
            "once up and down, to far below the start",
            (v.RISE, v.START, replace(v.FINAL, default=4e-6), v.ANNEAL, v.PHASES, v.ENDPOINT),
            monotone=False,
            check=room_for_last_phase,
        ),
        Scheme(
            "reduce_on_plateau",
            plateau.start_constant,
            3,
            "a drop when the validation loss stops falling",
            (
                Parameter("factor", 0.3, "factor of each drop", v.FRACTION_BELOW_1, search=Float(0.1, 0.7)),
                v.PATIENCE,
                Parameter("min_delta", 1e-4, "smallest improvement that counts, a loss", v.NOT_NEGATIVE),
                Parameter("cooldown", 0.0, "time after a drop before patience counts", v.NOT_NEGATIVE, is_time=True),
                Parameter("min_lr", 0.0, "lowest rate", v.NOT_NEGATIVE),
                replace(v.UNIT, choices=("fraction", "epoch")),
            ),
            searchable=False,
            rewrite=plateau.rewrite,
        ),
    )
}
