"""The table of all schemes, and the decay forms of the two articles expressed as such schemes.

`initial_lr` is the one rate by which every scheme is tuned: the first rate of the schemes that never rise (`monotone`),
the highest rate of the others.
"""

from dataclasses import replace

from pipeline.schedules import cycles, decays
from pipeline.schedules import scheme as shared
from pipeline.schedules.parameters import Float, Int, Parameter, Value
from pipeline.schedules.scheme import Scheme, factors_fit_milestones, milestones_increase, room_for_last_phase

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("constant", decays.constant, 0, "the same rate throughout"),
        Scheme("linear", decays.linear, 1, "a straight line down", (shared.LENGTH, shared.FINAL, shared.UNIT)),
        Scheme(
            "linear_decrement",
            decays.linear_decrement,
            1,
            "the same amount subtracted every epoch, down to 0",
            (
                Parameter("decrement", 1e-5, "subtracted per unit of time, a rate", shared.NOT_NEGATIVE),
                shared.OFFSET,
                shared.WHOLE_UNIT,
            ),
            searchable=False,
        ),
        Scheme(
            "polynomial",
            decays.polynomial,
            1,
            "a power of the time that is left",
            (shared.POWER, shared.LENGTH, shared.FINAL, shared.UNIT),
        ),
        Scheme("cosine", decays.cosine, 1, "half a cosine down", (shared.LENGTH, shared.FINAL, shared.UNIT)),
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
                    shared.POSITIVE_FRACTION,
                    search=Float(0.001, 0.3, log=True),
                ),
                shared.PERIOD,
                shared.STAIRCASE,
                shared.UNIT,
            ),
        ),
        Scheme(
            "natural_exponential",
            decays.natural_exponential,
            1,
            "a factor of e to the minus decay_rate every epoch",
            (Parameter("decay_rate", 0.1, "exponent per unit of time", shared.NOT_NEGATIVE), shared.WHOLE_UNIT),
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
                    shared.NOT_NEGATIVE,
                    search=Float(3.0, 300.0, log=True),
                ),
                shared.PERIOD,
                shared.STAIRCASE,
                shared.UNIT,
            ),
        ),
        Scheme(
            "time",
            decays.time_based,
            1,
            "divided every epoch by a line that rises with time",
            (
                Parameter("decay_rate", 1.5e-6, "rise of the divisor per unit of time", shared.NOT_NEGATIVE),
                shared.WHOLE_UNIT,
            ),
            searchable=False,
        ),
        Scheme(
            "step",
            decays.step,
            1,
            "a drop by the same factor at equal distances",
            (shared.DROP, shared.DROPS, shared.STEP_SIZE, shared.OFFSET, shared.UNIT),
        ),
        Scheme(
            "multi_step",
            decays.multi_step,
            2,
            "a drop by the same factor at each milestone",
            (shared.DROP, shared.MILESTONES, shared.UNIT),
            check=milestones_increase,
        ),
        Scheme(
            "piecewise_constant",
            decays.piecewise_constant,
            2,
            "any rates between milestones",
            (shared.MILESTONES, shared.FACTORS, shared.UNIT),
            monotone=False,
            searchable=False,
            check=factors_fit_milestones,
        ),
        Scheme(
            "rex",
            decays.rex,
            1,
            "slow at first, steep at the end",
            (shared.BETA, shared.LENGTH, shared.FINAL, shared.UNIT),
        ),
        Scheme(
            "hyperbolic_tangent",
            decays.hyperbolic_tangent,
            2,
            "a plateau, a fall and a tail",
            (shared.LOWER, shared.UPPER, shared.LENGTH, shared.FINAL, shared.UNIT),
        ),
        Scheme(
            "warmup_stable_decay",
            cycles.warmup_stable_decay,
            2,
            "warm-up, constant, cooldown: a trapezoid",
            (shared.COOLDOWN, shared.SHAPE, shared.FINAL, replace(shared.WARMUP, default=0.05)),
            monotone=False,
        ),
        Scheme(
            "inverse_sqrt",
            cycles.inverse_sqrt,
            2,
            "a linear rise, then one over the square root of time (Noam)",
            (
                replace(shared.RISE, default=0.1, search=Float(0.01, 0.3, log=True)),
                shared.RISE_TIME,
                shared.OFFSET,
                shared.UNIT,
            ),
            monotone=False,
        ),
        Scheme(
            "cosine_restarts",
            cycles.cosine_restarts,
            3,
            "half a cosine down, again and again (SGDR)",
            (
                replace(shared.CYCLES, search=Int(2, 5)),
                shared.GROWTH,
                Parameter("peak_decay", 1.0, "height of a cycle, as a fraction of the one before", shared.FRACTION),
                Parameter(
                    "first_length", 0.0, "time of the first cycle; 0: as cycles says", shared.NOT_NEGATIVE, is_time=True
                ),
                shared.FINAL,
                shared.UNIT,
            ),
            monotone=False,
        ),
        Scheme(
            "triangular",
            cycles.triangular,
            3,
            "straight up and down between two rates",
            (shared.BASE, shared.CYCLES, shared.CYCLE_TIME, shared.UNIT),
            monotone=False,
        ),
        Scheme(
            "triangular2",
            cycles.triangular2,
            3,
            "triangular, the height halved after each cycle",
            (shared.BASE, shared.CYCLES, shared.CYCLE_TIME, shared.UNIT),
            monotone=False,
        ),
        Scheme(
            "exp_range",
            cycles.exp_range,
            3,
            "triangular, the height falling exponentially",
            (
                shared.BASE,
                shared.CYCLES,
                shared.CYCLE_TIME,
                Parameter("decay_rate", 0.1, "factor of the height per decay_length", shared.POSITIVE_FRACTION),
                shared.PERIOD,
                shared.UNIT,
            ),
            monotone=False,
        ),
        Scheme(
            "one_cycle",
            cycles.one_cycle,
            3,
            "once up and down, to far below the start",
            (
                shared.RISE,
                shared.START,
                replace(shared.FINAL, default=4e-6),
                shared.ANNEAL,
                shared.PHASES,
                shared.ENDPOINT,
            ),
            monotone=False,
            check=room_for_last_phase,
        ),
        Scheme(
            "reduce_on_plateau",
            decays.start_constant,
            3,
            "a drop when the validation loss stops falling",
            (
                Parameter("factor", 0.3, "factor of each drop", shared.FRACTION_BELOW_1, search=Float(0.1, 0.7)),
                shared.PATIENCE,
                Parameter("min_delta", 1e-4, "smallest improvement that counts, a loss", shared.NOT_NEGATIVE),
                Parameter(
                    "cooldown", 0.0, "time after a drop before patience counts", shared.NOT_NEGATIVE, is_time=True
                ),
                Parameter("min_lr", 0.0, "lowest rate", shared.NOT_NEGATIVE),
                replace(shared.UNIT, choices=("fraction", "epoch")),
            ),
            searchable=False,
            rewrite=decays.rewrite,
        ),
    )
}

ARTICLE_FORMS: dict[str, tuple[str, dict[str, Value]]] = {
    # "Learning Rate Decay", GeeksforGeeks. It gives numbers only for its experiment; the others are our choice.
    "geeksforgeeks_step": ("step", {"drop_rate": 0.5, "step_size": 5, "unit": "epoch"}),
    "geeksforgeeks_exponential": ("natural_exponential", {"decay_rate": 0.1, "unit": "epoch"}),
    "geeksforgeeks_inverse_time": ("inverse_time", {"decay_rate": 0.1, "decay_length": 1, "unit": "epoch"}),
    "geeksforgeeks_polynomial": ("polynomial", {"power": 2.0, "unit": "epoch"}),
    "geeksforgeeks_basic": (
        "inverse_time",
        {"decay_rate": 0.5, "decay_length": 5, "staircase": True, "unit": "epoch"},
    ),
    "geeksforgeeks_experiment": (
        "exponential",
        {"decay_rate": 0.96, "decay_length": 1000, "staircase": True, "unit": "step"},
    ),
    # "Problems with fixed and decaying learning rates", MachineCurve.
    "machinecurve_linear": ("linear_decrement", {"decrement": 1e-5, "offset": 1, "unit": "epoch"}),
    "machinecurve_step": ("step", {"drop_rate": 0.5, "step_size": 15, "offset": 1, "unit": "epoch"}),
    "machinecurve_time": ("time", {"decay_rate": 1.5e-6, "unit": "epoch"}),
    "machinecurve_exponential": ("natural_exponential", {"decay_rate": 0.1, "unit": "epoch"}),
}
"""The decay forms of the two articles, each a scheme of the table with its parameters fixed."""
