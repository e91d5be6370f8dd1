from collections.abc import Callable
from dataclasses import replace
from math import inf, nan

import pytest

from pipeline.datasets import Scaling
from pipeline.objective import Objective
from pipeline.reporting import wording
from pipeline.reporting.answer import compose
from pipeline.reporting.report_inputs import Report
from pipeline.results import Baseline, Guess, History, Interval, SearchResult, TrainResult
from tests.reporting.searches import make_row


def answer(report: Report) -> list[str]:
    """Return the answer as the terminal shows it."""
    return compose(report).lines()


def _search(report: Report, **changes: object) -> SearchResult:
    assert report.search is not None
    return report.search.model_copy(update=changes)


def _train(report: Report, **changes: object) -> TrainResult:
    assert report.train is not None
    return report.train.model_copy(update=changes)


def _baseline(report: Report, **changes: object) -> Baseline:
    assert report.search is not None
    return report.search.baselines[0].model_copy(update=changes)


def test_the_whole_answer(report: Report) -> None:
    """What to use, what qualifies it, how good it is, and how certain each comparison is."""
    assert answer(report) == [
        "Train SGD with the cosine scheme and an initial learning rate of 0.0562.",
        "Parameters of the scheme: final_fraction=0.01.",
        "This is a tie: on these seeds and this split of the data, "
        "nothing distinguishes it from one cycle and SGD at 0.01.",
        "In validation loss it is at most 0.005 behind the best of them.",
        "Test accuracy 98.42% (mean of 3 seeds, 95% interval 97.64% to 99.20% over seeds and 1,000 test examples), "
        "test loss 0.0509.",
        "Gain over Adam at 0.001: 0.0282 in validation loss (95% interval 0.0204 to 0.036, excludes zero: better); "
        "+0.94 accuracy points (95% interval +0.41 to +1.47, excludes zero)."
        " The winner reaches this baseline's final validation loss after epoch 4 of 6, on 3 seeds.",
        "Gain over SGD at 0.01: 0.0031 in validation loss (95% interval -0.0019 to 0.0081, "
        "includes zero: no difference shown); +0.12 accuracy points (95% interval -0.20 to +0.44, includes zero)."
        " The winner reaches this baseline's final validation loss after epoch 4 of 6, on 3 seeds.",
    ]


def test_rates_of_layers_are_said(report: Report, change: Callable[..., Report]) -> None:
    """Whether there was a final training or only a search."""
    own, said = {"base": 0.1, "block*": 2.0}, "The model's layers train at multiples of the rate: base=0.1, block*=2."
    assert said in answer(change(train=_train(report, lr_multipliers=own)))
    assert said in answer(change(train=None, search=_search(report, lr_multipliers=own)))


def test_a_searched_weight_decay_is_said(report: Report, change: Callable[..., Report]) -> None:
    """As part of what to train with."""
    search = _search(report)
    decayed = [row.model_copy(update={"weight_decay": 0.0123}) for row in search.leaderboard]
    said = answer(change(train=None, search=_search(report, winner=decayed[0].only, leaderboard=tuple(decayed))))
    assert "Train SGD with the cosine scheme, an initial learning rate of 0.0562 and a weight decay of 0.0123." in said


def test_a_clear_winner_is_not_hedged(report: Report, change: Callable[..., Report]) -> None:
    """Without a tie no tie is mentioned."""
    search = _search(report)
    won = search.leaderboard[0].model_copy(update={"verdict": "winner"})
    cleared = _search(report, ties=(), leaderboard=(won, *search.leaderboard[1:]))
    assert not any("tie" in line for line in answer(change(search=cleared)))


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (5, "over 3 seeds, each on its own split of the data: intervals cover the choice of the split."),
        (3, "over 3 seeds, each on its own split of the data: intervals cover the choice of the split."),
        (2, "over 3 seeds on 2 splits of the data: intervals cover the choice of the split in part."),
    ],
)
def test_several_splits_are_said_to_be_covered(
    splits: int, said: str, report: Report, change: Callable[..., Report]
) -> None:
    """By the comparison and by the test score; a verdict that was not compared says nothing of them."""
    assert report.train is not None
    train = report.train.model_copy(update={"splits": splits})
    lines = answer(change(search=_search(report, splits=splits), train=train))
    assert lines[2].startswith("This is a tie: on these seeds and splits of the data, nothing distinguishes it from")
    assert lines[4] == f"Finalists and baselines were compared {said}"
    assert "over seeds, splits and 1,000 test examples" in lines[5]
    alone = make_row("cosine", 0.0562, 0.0571, "tie", params={"final_fraction": 0.01}, seeds=())
    search = _search(report, splits=splits, leaderboard=(alone,), baselines=(), reason="not compared: no budget")
    assert not any("compared over" in line for line in answer(change(search=search)))


def test_recomputed_statistics_are_a_remark(report: Report, change: Callable[..., Report]) -> None:
    """The model is not what the exported schedule gives in plain Keras."""
    lines = answer(change(train=_train(report, recomputed=True)))
    assert lines[4].startswith("The training is too short for BatchNormalization's moving averages")


def test_an_earlier_answer_is_named(report: Report, change: Callable[..., Report]) -> None:
    """With what it was about, and where it made the trials begin."""
    assert report.search is not None
    about = {"data": "digits", "model": "mlp", "optimizer": "adam", "batch_size": "32", "epochs": 1}
    earlier = History(run_id="0", correction=1.549, **about)
    changed = answer(change(search=report.search.model_copy(update={"history": earlier})))
    assert [line for line in changed if line not in answer(report)] == [
        "The search started from the earlier answer on digits (mlp, Adam, batches of 32, 1 epoch):"
        " at 1.5 times the range test's rate, within its interval."
    ]


def test_a_network_that_cannot_be_saved_is_a_remark(report: Report, change: Callable[..., Report]) -> None:
    """Its weights are kept; the rest of the answer does not depend on it."""
    changed = change(train=_train(report, registered=None, unsaved="ValueError: no config."))
    remark = "The network could not be saved as a model (ValueError: no config); its weights are in model.weights.h5."
    assert [line for line in answer(changed) if line not in answer(report)] == [remark]


def test_no_better_than_guessing_comes_first(report: Report, change: Callable[..., Report]) -> None:
    """By how much, and what is known of why; where guessing is beaten, nothing is said."""
    why = ("it had 10 updates only: more epochs, or smaller batches",)
    guess = Guess(what="the most frequent class", loss=2.303, accuracy=0.1125, beaten=False, why=why)
    poor = _train(report, test_loss=2.38, test_accuracy=0.117, guess=guess)
    lines = answer(change(train=poor))
    assert lines[:3] == [
        "This is no better than predicting the most frequent class for every example:"
        " test accuracy 11.70% against 11.25%, test loss 2.38 against 2.303.",
        "It had 10 updates only: more epochs, or smaller batches.",
        answer(report)[0],
    ]
    good = _train(report, guess=guess.model_copy(update={"beaten": True, "why": ()}))
    assert answer(change(train=good)) == answer(report)


def test_an_interrupted_chain_says_so_first(change: Callable[..., Report]) -> None:
    """Without a final training there is no score, and neither an empty line nor one about a model."""
    search = change(interrupted=True, train=None)
    lines = answer(search)
    assert lines[0] == "This is the best answer so far: the chain was interrupted. The same command continues it."
    assert lines[1].startswith("Train SGD with the cosine scheme and an initial learning rate of 0.0562")
    assert "" not in lines
    assert not any("Test " in line for line in lines)
    assert [tile.label for tile in compose(search).tiles[:2]] == ["How sure", "Against Adam at 0.001"]


def test_scaled_labels_are_a_remark(regression: Report) -> None:
    """The rate is of no use for labels as they are."""
    scaling = Scaling(offset=(457_000.0,), scale=(23_310.0,), kind="standard")
    train = _train(regression, label_scaling=scaling)
    assert [line for line in answer(replace(regression, train=train)) if line not in answer(regression)] == [
        "The rate is for labels scaled to mean 0 and standard deviation 1 (minus 457000, divided by 23310);"
        " losses and the model's outputs are in the labels' own units."
    ]


def test_several_ties_are_all_named(report: Report, change: Callable[..., Report]) -> None:
    """Nobody is left out, baselines included."""
    lines = answer(change(search=_search(report, ties=("one_cycle", "step", "linear"))))
    assert lines[2].endswith("nothing distinguishes it from one cycle, step, linear and SGD at 0.01.")


@pytest.mark.parametrize(
    ("high", "said"),
    [
        (-0.001, "did better in validation loss on the same seeds"),
        (
            0.001,
            "had a better mean validation loss on the same seeds, but the interval of the difference includes zero.",
        ),
    ],
)
def test_a_better_baseline_is_named_plainly(
    report: Report, change: Callable[..., Report], high: float, said: str
) -> None:
    """Above the comparisons, where nobody can overlook it."""
    baseline = _baseline(report, gain=Interval(mean=-0.004, low=-0.009, high=high))
    lines = answer(change(search=_search(report, baselines=(baseline,))))
    assert any(line.startswith(f"Adam at 0.001, a constant rate, {said}") for line in lines[:-2])


def test_a_constant_rate_is_not_called_a_decay(report: Report, change: Callable[..., Report]) -> None:
    """The headline says what will happen to the rate."""
    winner = report.winner.model_copy(update={"scheme": "constant", "params": {}})
    lines = answer(change(train=_train(report, winner=winner)))
    assert lines[0] == "Train SGD with a constant learning rate of 0.0562."


def test_a_given_scheme_is_not_recommended(given: Report) -> None:
    """Nothing was compared, and the answer says so."""
    lines = answer(given)
    assert lines[0] == "SGD was trained with the cosine scheme and an initial learning rate of 0.0562, as given."
    assert "There was no search, so nothing shows that this is the best choice." in lines
    assert not any("Gain" in line for line in lines)


def test_a_refused_range_test_is_reported(report: Report, change: Callable[..., Report]) -> None:
    """The reason is passed on, with one full stop."""
    assert report.range_test is not None
    refused = report.range_test.model_copy(update={"verdict": "refused", "reason": "The loss never fell."})
    assert "The range test refused to suggest a rate: The loss never fell." in answer(change(range_tests=[refused]))


def test_regression_speaks_of_losses_and_mean_absolute_error(regression: Report) -> None:
    """No accuracy anywhere."""
    composed = compose(regression)
    assert composed.score == "Test loss 0.0509 (mean of 3 seeds, 95% interval 0.0478 to 0.0541 over seeds)."
    assert [tile.label for tile in composed.tiles[1:3]] == ["Test loss", "Validation MAE"]
    assert composed.tiles[2].details == ("mean absolute error, mean of 3 trainings",)
    assert not any("accuracy" in line for line in composed.lines())


def test_one_seed_has_no_interval(report: Report, change: Callable[..., Report]) -> None:
    """A single training shows no spread, and none is invented; the interval of its accuracy covers the examples."""
    train = _train(report, seeds=_train(report).seeds[:1])
    assert compose(change(train=train)).score.startswith(
        "Test accuracy 98.42% (1 seed, 95% interval 97.64% to 99.20% over 1,000 test examples; "
        "the spread of seeds is unknown)"
    )
    without = train.model_copy(update={"test_accuracy": None, "test_accuracy_interval": None})
    assert compose(change(train=without)).score == "Test loss 0.0509 (1 seed, so its spread is unknown)."


def test_two_seeds_are_not_asked_for_an_interval(regression: Report) -> None:
    """It would be 13 standard errors wide, and end below zero: both values say more."""
    train = _train(regression, seeds=_train(regression).seeds[:2])
    first, second = (wording.loss(score.test_loss) for score in train.seeds)
    assert compose(replace(regression, train=train)).score == (
        f"Test loss 0.0509 (mean of 2 seeds, {first} and {second})."
    )


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-1.0, 1.0, "(3 seeds, too few for an interval)"),
        (-inf, inf, "(3 seeds, too few for an interval)"),
        (0.75, 1.0, "(95% interval +75.00 to +100.00, excludes zero)"),
        (0.00001, 0.4, "(95% interval above 0 to +40.00, excludes zero)"),
    ],
)
def test_an_interval_from_end_to_end_says_nothing(
    report: Report, change: Callable[..., Report], low: float, high: float, said: str
) -> None:
    """A difference of accuracies lies between -100 and +100 points whatever is measured."""
    baseline = _baseline(report, accuracy_gain=Interval(mean=0.2, low=low, high=high))
    (gain,) = compose(change(search=_search(report, baselines=(baseline,)))).gains
    assert f"+20.00 accuracy points {said}" in gain.text


@pytest.mark.parametrize(
    ("verdict", "seeds", "said"),
    [
        (
            "equivalent",
            3,
            [
                "It hardly matters which is used: it is equivalent to one cycle and SGD at 0.01, within the tolerance.",
                "In validation loss it is at most 0.005 behind the best of them.",
            ],
        ),
        (
            "tie",
            1,
            [
                "This is a tie: one seed each cannot distinguish it from one cycle and SGD at 0.01, "
                "and gives no bound on the difference."
            ],
        ),
        ("tie", 0, ["It was not compared with any other choice: the budget allows none."]),
    ],
)
def test_what_the_verdict_on_the_chosen_one_means(
    report: Report, change: Callable[..., Report], verdict: str, seeds: int, said: list[str]
) -> None:
    """In the place where a tie is mentioned."""
    search = _search(report)
    adam, sgd = search.baselines
    sgd = sgd.model_copy(update={"row": sgd.row.model_copy(update={"verdict": verdict})})
    row = search.leaderboard[0].model_copy(update={"verdict": verdict, "seeds": tuple(range(seeds))})
    reason = "not compared: the budget allows none; 2 trainings suggest it"
    changed = _search(report, leaderboard=(row, *search.leaderboard[1:]), baselines=(adam, sgd), reason=reason)
    assert compose(change(search=changed)).remarks[1:] == tuple(said)


def test_a_baseline_that_only_another_scheme_beat(report: Report, change: Callable[..., Report]) -> None:
    """The leaderboard calls it worse; the answer says why its gain includes zero all the same."""
    baseline = _baseline(report, gain=Interval(mean=0.01, low=-0.01, high=0.03))
    assert baseline.row.verdict == "worse"
    (gain,) = compose(change(search=_search(report, baselines=(baseline,)))).gains
    assert "includes zero: another scheme beat it, this one did not" in gain.text


@pytest.mark.parametrize(
    ("low", "high", "direction", "value", "words"),
    [
        (0.02, 0.04, "better", "35% lower", "excludes zero: better"),
        (-0.04, -0.02, "worse", "35% higher", "excludes zero: worse"),
        (-0.01, 0.07, "unclear", "35% lower", "includes zero: no difference shown"),
        (0.0, 0.06, "better", "35% lower", "97.5% interval above 0 to 0.06, excludes zero: better"),
        (-0.06, 0.0, "worse", "35% higher", "97.5% interval -0.06 to below 0, excludes zero: worse"),
        (0.0, 0.0, "unclear", "0% lower", "includes zero: no difference shown"),
    ],
)
def test_a_gain_is_judged_by_its_interval(
    report: Report,
    change: Callable[..., Report],
    low: float,
    high: float,
    direction: str,
    value: str,
    words: str,
) -> None:
    """Not by its mean; a bound of zero is one that the test excludes."""
    row = make_row("constant", 0.001, 0.0853, "tie", optimizer="adam")
    baseline = _baseline(report, row=row, gain=Interval(mean=(low + high) / 2, low=low, high=high, level=0.975))
    (gain,) = compose(change(search=_search(report, baselines=(baseline,)))).gains
    assert (gain.tile.direction, gain.tile.value) == (direction, value)
    assert words in gain.text
    assert "97.5% interval" in gain.text


@pytest.mark.parametrize(
    ("mean", "low", "high", "value", "text"),
    [
        (inf, inf, inf, "diverged", "Against Adam at 0.001: it diverged on at least one seed."),
        (nan, -inf, inf, "n/a", "Against Adam at 0.001: not every training has a loss to compare."),
    ],
)
def test_a_diverged_baseline_has_no_gain(
    report: Report, change: Callable[..., Report], mean: float, low: float, high: float, value: str, text: str
) -> None:
    """Infinity is not printed as a number."""
    baseline = _baseline(report, gain=Interval(mean=mean, low=low, high=high))
    (gain,) = compose(change(search=_search(report, baselines=(baseline,)))).gains
    assert (gain.tile.value, gain.text) == (value, text)


@pytest.mark.parametrize(
    ("verdict", "rivals", "said"),
    [
        ("winner", (), "With half the epochs (3) it is still the winner of 3 candidates."),
        ("worse", ("step", "rex"), "With half the epochs (3) it is beaten: the best is one of step and rex."),
        ("diverged", ("step",), "With half the epochs (3) it diverges on at least one seed: the best is step."),
        ("diverged", (), "With half the epochs (3) it diverges on at least one seed."),
    ],
)
def test_the_answer_at_other_budgets(
    transferred: Report, change: Callable[..., Report], verdict: str, rivals: tuple[str, ...], said: str
) -> None:
    """Among the remarks, a sentence each."""
    assert transferred.search is not None
    half, double = transferred.search.transfer
    changed = half.model_copy(update={"verdict": verdict, "rivals": rivals})
    lines = answer(change(search=transferred.search.model_copy(update={"transfer": (changed, double)})))
    assert said in lines
    assert "With double the epochs (12) it is beaten: the best is one cycle." in lines


def test_another_objective_is_named_with_its_direction(maximised: Report) -> None:
    """A gain over a baseline is shown as a difference: percent of it would be meaningless."""
    composed = compose(maximised)
    lines = composed.lines()
    assert "This is judged by validation gain; higher is better." in lines
    assert "In validation gain it is at most 0.005 behind the best of them." in lines
    assert any(line.startswith("Gain over Adam at 0.001: 0.0282 in validation gain (95% interval") for line in lines)
    assert [(gain.tile.value, gain.tile.direction) for gain in composed.gains] == [
        ("+0.0282", "better"),
        ("+0.0031", "unclear"),
    ]
    assert not any("validation loss" in line for line in lines)


def test_a_better_baseline_is_compared_by_the_objective(maximised: Report, change: Callable[..., Report]) -> None:
    """Also if higher is better."""
    behind = Interval(mean=-0.09, low=-0.12, high=-0.06)
    baseline = _baseline(maximised, gain=behind)
    composed = compose(change(search=_search(maximised, baselines=(baseline,))))
    assert "Adam at 0.001, a constant rate, did better in validation gain on the same seeds." in composed.remarks
    assert composed.gains[0].tile.value == "-0.09"


def test_accuracy_as_the_objective_is_mentioned_once(report: Report, change: Callable[..., Report]) -> None:
    """Not again in points."""
    (gain, _) = compose(change(search=_search(report, objective=Objective("val_accuracy", "max")))).gains
    assert "in validation accuracy" in gain.text
    assert "points" not in gain.text
