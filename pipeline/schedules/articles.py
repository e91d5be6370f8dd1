"""The decay forms of the two articles, each a scheme of the table with its parameters fixed."""

from pipeline.schedules.parameters import Value

ARTICLE_FORMS: dict[str, tuple[str, dict[str, Value]]] = {
    # "Learning Rate Decay", GeeksforGeeks. It gives no numbers but those of the experiment: the others are free.
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
