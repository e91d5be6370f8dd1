"""The table of all experiments, the rates that article a prints, and the choice of experiments by options."""

from functools import partial
from typing import Any

import numpy as np

from pipeline.articles.experiment import PUBLISHED_EXAMPLES, Check, Experiment, Figures
from pipeline.config import RUN_CONTROL, PrepareOptions, ReproduceOptions, SearchOptions
from pipeline.schedules import ARTICLE_FORMS

LAST_PRINTED = 0.031885575503110886
"""The rate that article a's program prints at the end."""

_MORE_SEEDS = 2
"""Additional seeds for the answers and for the experiments that they are compared with."""

_A = partial(Experiment, article="a", model="mlp", optimizer="sgd", batch_size=32, epochs=15, initial_lr=0.1)
_B = partial(Experiment, article="b", model="cnn", optimizer="adam", batch_size=250, epochs=25, initial_lr=0.001)
_FIXED = partial(_B, group="fixed", scheme="constant")
_SEARCHED: dict[str, Any] = {
    "group": "answer",
    "scheme": "",
    "initial_lr": 0.0,
    "rates_from": "search",
    "more_seeds": _MORE_SEEDS,
}
_SGD: dict[str, Any] = {"optimizer": "sgd", "momentum": 0.9}

_LEARNS, _STUCK = Check("learns"), Check("stuck", than="B1")
_LEARNS_UNTUNED = Check("learns", than="S2")
_WORSE_THAN_BASELINE, _BETTER_THAN_BASELINE = Check("worse", than="B1"), Check("better", than="B1")
_BETTER_THAN_FIXED = Check("better", than="A0")


def _decay_a(id: str, name: str, form: str, claim: str, more_seeds: int = 0) -> Experiment:
    (scheme, params), title = ARTICLE_FORMS[form], f"SGD 0.1, {name}"
    shared: dict[str, Any] = {"group": "decay", "check": _BETTER_THAN_FIXED, "more_seeds": more_seeds}
    return _A(id=id, title=title, claim=claim, scheme=scheme, params=params, **shared)


def _decay_b(id: str, name: str, form: str, claim: str) -> Experiment:
    (scheme, params), title = ARTICLE_FORMS[form], f"Adam 0.001, {name}"
    shared: dict[str, Any] = {"group": "decay", "check": _BETTER_THAN_BASELINE}
    return _B(id=id, title=title, claim=claim, scheme=scheme, params=params, **shared)


_ROWS = (
    _A(
        id="A0",
        group="fixed",
        title="SGD 0.1",
        claim="article a's experiment without its decay, for comparison; not in the article",
        check=_LEARNS,
        scheme="constant",
    ),
    _decay_a(
        "A1",
        "exponential in steps",
        "geeksforgeeks_experiment",
        "the article's experiment: a decaying rate converges further than a fixed one",
        more_seeds=_MORE_SEEDS,
    ),
    _decay_a("A2", "step", "geeksforgeeks_step", "a drop after every few epochs converges further than a fixed rate"),
    _decay_a(
        "A3",
        "exponential",
        "geeksforgeeks_exponential",
        "a smooth fall, fastest at first, converges further than a fixed rate",
    ),
    _decay_a(
        "A4",
        "inverse time",
        "geeksforgeeks_inverse_time",
        "a fall that itself slows down converges further than a fixed rate",
    ),
    _decay_a(
        "A5",
        "polynomial",
        "geeksforgeeks_polynomial",
        "a fall to zero at the end of training converges further than a fixed rate",
    ),
    _decay_a(
        "A6", "basic", "geeksforgeeks_basic", "a smaller rate at regular intervals converges further than a fixed one"
    ),
    _FIXED(
        id="B1",
        title="Adam 0.001",
        claim="the baseline: a normal learning curve",
        check=_LEARNS,
        published=Figures(0.9919000267982483, 0.02863448634357819),
        more_seeds=_MORE_SEEDS,
    ),
    _FIXED(
        id="B2",
        title="Adam 0.5",
        claim="a really large rate: no convergence",
        check=_STUCK,
        initial_lr=0.5,
        published=Figures(0.10100000351667404, 2.3188612442016603),
    ),
    _FIXED(
        id="B3",
        title="Adam 0.01",
        claim="a large rate converges but oscillates, with about twice the baseline's loss",
        check=_WORSE_THAN_BASELINE,
        initial_lr=0.01,
        published=Figures(0.9887999892234802, 0.045392444870159344),
    ),
    _FIXED(
        id="B4",
        title="Adam 0.00001",
        claim="a small rate is smooth and slow: behind the baseline after as many epochs",
        check=_WORSE_THAN_BASELINE,
        initial_lr=1e-5,
        published=Figures(0.9513999819755554, 0.17123142351806164),
    ),
    _FIXED(
        id="B5",
        title="Adam 0.0000001",
        claim="a really small rate: the network hardly moves",
        check=_STUCK,
        initial_lr=1e-7,
        published=Figures(0.16249999403953552, 2.2723510555267334),
    ),
    _decay_b(
        "B6",
        "linear",
        "machinecurve_linear",
        "a rate that falls by the same amount each epoch does better than a fixed one",
    ),
    _decay_b("B7", "step", "machinecurve_step", "a rate that is halved every 15 epochs does better than a fixed one"),
    _decay_b(
        "B8", "time", "machinecurve_time", "a rate that falls with time, by ever more, does better than a fixed one"
    ),
    _decay_b(
        "B9",
        "exponential",
        "machinecurve_exponential",
        "a smooth fall, fastest at first, does better than a fixed rate (article a's exponential is the same)",
    ),
    _decay_b(
        "B10",
        "step (a)",
        "geeksforgeeks_step",
        "not in article b: a rate that is halved every 5 epochs does better than a fixed one",
    ),
    _decay_b(
        "B11",
        "inverse time (a)",
        "geeksforgeeks_inverse_time",
        "not in article b: a fall that itself slows down does better than a fixed rate",
    ),
    _decay_b(
        "B12",
        "polynomial (a)",
        "geeksforgeeks_polynomial",
        "not in article b: a fall to zero at the end of training does better than a fixed rate",
    ),
    _decay_b(
        "B13",
        "basic (a)",
        "geeksforgeeks_basic",
        "not in article b: a smaller rate at regular intervals does better than a fixed one",
    ),
    _B(
        id="B14",
        group="solution",
        title="Adadelta 1.0",
        claim="an adaptive optimizer learns without a tuned rate (1.0 is that of its paper)",
        check=_LEARNS_UNTUNED,
        optimizer="adadelta",
        scheme="constant",
        initial_lr=1.0,
    ),
    _B(
        id="B15",
        group="solution",
        title="AdaMax 0.001",
        claim="an adaptive optimizer learns without a tuned rate (0.001 is Keras' default)",
        check=_LEARNS_UNTUNED,
        optimizer="adamax",
        scheme="constant",
    ),
    _B(
        id="B16",
        group="solution",
        title="SGD, cyclical between the range test's bounds",
        claim="a cyclical rate with early stopping and the best epoch kept does better than the baseline",
        check=_BETTER_THAN_BASELINE,
        **_SGD,
        scheme="triangular",
        initial_lr=0.0,
        params={"cycles": 3},
        rates_from="interval",
        found_by="S2",
        patience=0.4,  # a little longer than a cycle: a loss that rose with the rate must be given time to fall again
    ),
    _A(
        id="S1",
        title="article a's network, SGD as found by search",
        claim="the decay found beats the article's in the same 15 epochs",
        check=Check("better", than="A1"),
        **_SEARCHED,
        found_by="S1",
    ),
    _B(
        id="S2",
        title="article b's network, SGD as found by search",
        claim="rate and decay found give more than 99.30% in the same 25 epochs",
        check=Check("above", than="B1", accuracy=0.9930),
        **{**_SEARCHED, **_SGD},
        found_by="S2",
        published=Figures(0.9919000267982483, 0.02863448634357819),
    ),
    _B(
        id="S3",
        title="article b's network, SGD as found by search for 10 epochs",
        claim="rate and decay found do better in 10 epochs than the baseline in 25",
        check=_BETTER_THAN_BASELINE,
        **{**_SEARCHED, **_SGD, "epochs": 10},
        found_by="S3",
        published=Figures(0.9919000267982483, 0.02863448634357819),
    ),
    _B(
        id="S4",
        title="Keras' example network, SGD as found by search for 12 epochs",
        claim="rate and decay found beat 99.22%, which Keras publishes after 15 epochs of Adam (on 6,000 more images)",
        check=Check("above", accuracy=0.9922),
        model="pipeline.models:keras_example",
        **{**_SEARCHED, **_SGD, "epochs": 12, "batch_size": 128},
        found_by="S4",
        published=Figures(0.9922),
    ),
)

EXPERIMENTS: dict[str, Experiment] = {row.id: row for row in _ROWS}
"""Every experiment by its id: A and B are the articles', S this project's answers to what these leave open."""


def printed_rates() -> tuple[float, ...]:
    """Return the rate at the start of each epoch of article a's training, and the rate at its end.

    They are computed in float32, as Keras computes its `ExponentialDecay`. The curve of the training itself is computed
    in float64 and rounded once, so it differs by rounding errors of float32 only.
    """
    experiment = EXPERIMENTS["A1"]
    steps_per_epoch = PUBLISHED_EXAMPLES // experiment.batch_size
    steps = np.arange(experiment.epochs + 1) * steps_per_epoch
    drops = steps // np.int64(experiment.params["decay_length"])
    # The power is rounded from float64: NumPy's float32 power is one digit less exact than TensorFlow's.
    powers = (np.float64(np.float32(experiment.params["decay_rate"])) ** drops).astype(np.float32)
    return tuple(float(rate) for rate in np.float32(experiment.initial_lr) * powers)


def chosen(options: ReproduceOptions) -> tuple[Experiment, ...]:
    """Return the experiments that the options ask for, in the order of the table."""
    return tuple(
        experiment
        for experiment in EXPERIMENTS.values()
        if options.article in ("all", experiment.article) and (options.answers or experiment.rates_from == "article")
    )


def epochs_of(experiment: Experiment, options: ReproduceOptions) -> int:
    """Return the number of epochs of an experiment: the article's, or fewer if the options ask for fewer."""
    return min(experiment.epochs, options.epochs or experiment.epochs)


def seeds_of(experiment: Experiment, options: ReproduceOptions) -> int:
    """Return the number of seeds of an experiment. All experiments share the first seeds, so they can be paired."""
    return options.seeds + experiment.more_seeds


def searches(options: ReproduceOptions) -> dict[str, SearchOptions]:
    """Return the search behind each answer that the options ask for, by the id of the answer."""
    wanted = {experiment.found_by for experiment in chosen(options)} - {""}
    return {name: _search(EXPERIMENTS[name], options) for name in EXPERIMENTS if name in wanted}


def _search(answer: Experiment, options: ReproduceOptions) -> SearchOptions:
    return SearchOptions(
        **options.model_dump(
            include=set(PrepareOptions.model_fields) - RUN_CONTROL
            | {"checkpoint", "workers", "scheduler", "system_metrics"}
        ),
        model=answer.model,
        optimizer=answer.optimizer,
        momentum=answer.momentum,
        batch_size=str(answer.batch_size),
        epochs=epochs_of(answer, options),
        budget=options.budget,
        trials=options.trials,
        confirm_seeds=max(options.seeds, 2),  # the answer is then trained again, on more seeds
    )
