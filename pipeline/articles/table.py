"""The table of all experiments, and which of them are asked for."""

from functools import partial
from typing import Any

from pipeline.articles.experiment import Check, Experiment, Figures
from pipeline.config import ReproduceOptions, SearchOptions
from pipeline.schedules import ARTICLE_FORMS

ARTICLES = {
    "a": "Learning Rate Decay (GeeksforGeeks, updated 2025)",
    "b": "Problems with fixed and decaying learning rates (MachineCurve, 2019, updated 2021)",
}

PUBLISHED_EXAMPLES = 60_000
"""Training examples of MNIST, which both articles use."""

_ANSWERED = 2
"""Seeds that the answers, and the experiments they are compared with, have more than the others."""

_A = partial(Experiment, article="a", model="mlp", optimizer="sgd", batch_size=32, epochs=15, initial_lr=0.1)
_B = partial(Experiment, article="b", model="cnn", optimizer="adam", batch_size=250, epochs=25, initial_lr=0.001)
_FIXED = partial(_B, group="fixed", scheme="constant")
_SEARCHED: dict[str, Any] = {
    "group": "answer",
    "scheme": "",
    "initial_lr": 0.0,
    "rates_from": "search",
    "more_seeds": _ANSWERED,
}
_SGD: dict[str, Any] = {"optimizer": "sgd", "momentum": 0.9}

_LEARNS, _STUCK = Check("learns"), Check("stuck", than="B1")
_LEARNS_UNTUNED = Check("learns", than="S2")
_WORSE_THAN_BASELINE, _BETTER_THAN_BASELINE = Check("worse", than="B1"), Check("better", than="B1")
_BETTER_THAN_FIXED = Check("better", than="A0")


def _decay(form: str) -> dict[str, Any]:
    scheme, params = ARTICLE_FORMS[form]
    return {"group": "decay", "scheme": scheme, "params": params}


_ROWS = (
    _A(
        id="A0",
        group="fixed",
        title="SGD 0.1",
        claim="article a's experiment without its decay, for comparison; not in the article",
        check=_LEARNS,
        scheme="constant",
    ),
    _A(
        id="A1",
        title="SGD 0.1, exponential in steps",
        claim="the article's experiment: a decaying rate converges further than a fixed one",
        check=_BETTER_THAN_FIXED,
        more_seeds=_ANSWERED,
        **_decay("geeksforgeeks_experiment"),
    ),
    _A(
        id="A2",
        title="SGD 0.1, step",
        claim="a drop after every few epochs converges further than a fixed rate",
        check=_BETTER_THAN_FIXED,
        **_decay("geeksforgeeks_step"),
    ),
    _A(
        id="A3",
        title="SGD 0.1, exponential",
        claim="a smooth fall, fastest at first, converges further than a fixed rate",
        check=_BETTER_THAN_FIXED,
        **_decay("geeksforgeeks_exponential"),
    ),
    _A(
        id="A4",
        title="SGD 0.1, inverse time",
        claim="a fall that itself slows down converges further than a fixed rate",
        check=_BETTER_THAN_FIXED,
        **_decay("geeksforgeeks_inverse_time"),
    ),
    _A(
        id="A5",
        title="SGD 0.1, polynomial",
        claim="a fall to zero at the end of training converges further than a fixed rate",
        check=_BETTER_THAN_FIXED,
        **_decay("geeksforgeeks_polynomial"),
    ),
    _A(
        id="A6",
        title="SGD 0.1, basic",
        claim="a smaller rate at regular intervals converges further than a fixed one",
        check=_BETTER_THAN_FIXED,
        **_decay("geeksforgeeks_basic"),
    ),
    _FIXED(
        id="B1",
        title="Adam 0.001",
        claim="the baseline: a normal learning curve",
        check=_LEARNS,
        published=Figures(0.9919000267982483, 0.02863448634357819),
        more_seeds=_ANSWERED,
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
    _B(
        id="B6",
        title="Adam 0.001, linear",
        claim="a rate that falls by the same amount each epoch does better than a fixed one",
        check=_BETTER_THAN_BASELINE,
        **_decay("machinecurve_linear"),
    ),
    _B(
        id="B7",
        title="Adam 0.001, step",
        claim="a rate that is halved every 15 epochs does better than a fixed one",
        check=_BETTER_THAN_BASELINE,
        **_decay("machinecurve_step"),
    ),
    _B(
        id="B8",
        title="Adam 0.001, time",
        claim="a rate that falls with time, by ever more, does better than a fixed one",
        check=_BETTER_THAN_BASELINE,
        **_decay("machinecurve_time"),
    ),
    _B(
        id="B9",
        title="Adam 0.001, exponential",
        claim="a smooth fall, fastest at first, does better than a fixed rate (article a's exponential is the same)",
        check=_BETTER_THAN_BASELINE,
        **_decay("machinecurve_exponential"),
    ),
    _B(
        id="B10",
        title="Adam 0.001, step (a)",
        claim="not in article b: a rate that is halved every 5 epochs does better than a fixed one",
        check=_BETTER_THAN_BASELINE,
        **_decay("geeksforgeeks_step"),
    ),
    _B(
        id="B11",
        title="Adam 0.001, inverse time (a)",
        claim="not in article b: a fall that itself slows down does better than a fixed rate",
        check=_BETTER_THAN_BASELINE,
        **_decay("geeksforgeeks_inverse_time"),
    ),
    _B(
        id="B12",
        title="Adam 0.001, polynomial (a)",
        claim="not in article b: a fall to zero at the end of training does better than a fixed rate",
        check=_BETTER_THAN_BASELINE,
        **_decay("geeksforgeeks_polynomial"),
    ),
    _B(
        id="B13",
        title="Adam 0.001, basic (a)",
        claim="not in article b: a smaller rate at regular intervals does better than a fixed one",
        check=_BETTER_THAN_BASELINE,
        **_decay("geeksforgeeks_basic"),
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
"""Every experiment by its id: A and B are the articles', S this project's answers to the question they leave."""


def chosen(options: ReproduceOptions) -> tuple[Experiment, ...]:
    """The experiments that are asked for, in the table's order."""
    return tuple(
        experiment
        for experiment in EXPERIMENTS.values()
        if options.article in ("all", experiment.article) and (options.answers or experiment.rates_from == "article")
    )


def epochs_of(experiment: Experiment, options: ReproduceOptions) -> int:
    """How many epochs an experiment is trained: the article's, or fewer where fewer are asked for."""
    return min(experiment.epochs, options.epochs or experiment.epochs)


def seeds_of(experiment: Experiment, options: ReproduceOptions) -> int:
    """How many seeds an experiment is trained on; the first ones are the same for all, so that they can be paired."""
    return options.seeds + experiment.more_seeds


def searches(options: ReproduceOptions) -> dict[str, SearchOptions]:
    """The search behind each answer that is asked for, by the answer's id."""
    wanted = {experiment.found_by for experiment in chosen(options)} - {""}
    return {name: _search(EXPERIMENTS[name], options) for name in EXPERIMENTS if name in wanted}


def _search(answer: Experiment, options: ReproduceOptions) -> SearchOptions:
    return SearchOptions(
        data=options.data,
        target=options.target,
        in_memory_mb=options.in_memory_mb,
        seed=options.seed,
        model=answer.model,
        optimizer=answer.optimizer,
        momentum=answer.momentum,
        batch_size=str(answer.batch_size),
        epochs=epochs_of(answer, options),
        trials=options.trials,
        confirm_seeds=max(options.seeds, 2),  # the answer is then trained on more, all of its own
    )
