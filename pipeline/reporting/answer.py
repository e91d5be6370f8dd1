"""The answer in words: what to train with, how good it is, and how certain that is; for page and terminal."""

from dataclasses import dataclass

import numpy as np

from pipeline.datasets.arrays import Scaling
from pipeline.evaluation import setting_prefix
from pipeline.objective import VAL_LOSS
from pipeline.reporting import wording
from pipeline.reporting.gains import Gain, Tile, bounded, gain_verdict, gains, unanswered
from pipeline.reporting.report_inputs import Report, entries
from pipeline.reporting.tiles import cost, how_sure, wide_enough, with_epochs_saved
from pipeline.results import LeaderboardRow, SearchResult, TrainResult, Transfer
from pipeline.rivals import CONSTANT
from pipeline.statistics import mean_interval

_TWO = 2
"""Seeds whose values say more than an interval, which would be 13 standard errors wide."""


@dataclass(frozen=True)
class Answer:
    """The answer: one sentence, the remarks that qualify it, and the comparisons.

    `warnings` come before everything: that it is not final, or no answer, being no better than guessing. `score` is
    empty without a final training.
    """

    warnings: tuple[str, ...]
    headline: str
    score: str
    remarks: tuple[str, ...]
    gains: tuple[Gain, ...]
    tiles: tuple[Tile, ...]

    def lines(self) -> list[str]:
        """Return the answer as plain lines of text."""
        lines = [*self.warnings, self.headline, *self.remarks, self.score, *(gain.text for gain in self.gains)]
        return [line for line in lines if line]


def compose(report: Report) -> Answer:
    """Return the answer that `report` gives."""
    search = report.search
    found = tuple(with_epochs_saved(gain, one, report) for gain, one in gains(search)) if search else ()
    tiles = tuple(_tiles(report, found))
    return Answer(tuple(_warnings(report)), _headline(report), _score(report), tuple(_remarks(report)), found, tiles)


def _warnings(report: Report) -> list[str]:
    train, warnings = report.train, []
    if report.interrupted:
        warnings.append("This is the best answer so far: the chain was interrupted. The same command continues it.")
    if train and train.guess:
        warnings += wording.guessing(train.guess, "test", train.test_loss, train.test_accuracy)
    elif report.search and train is None:
        warnings += wording.no_better(report.search)
    return warnings


def _headline(report: Report) -> str:
    winner = report.winner
    rate, optimizer = wording.number(winner.initial_lr), wording.optimizer(winner.optimizer)
    decayed = winner.weight_decay is not None
    what = f"the {wording.scheme(winner.scheme)} scheme{',' if decayed else ' and'} an initial learning rate of {rate}"
    if winner.scheme == "constant":
        what = f"a constant learning rate of {rate}"
    if winner.weight_decay is not None:
        what += f" and a weight decay of {wording.number(winner.weight_decay)}"
    # Without a search there is nothing to recommend: the user chose.
    if report.search and len({space.batch_size for space in report.search.spaces}) > 1:
        what = f"batches of {winner.batch_size}{' and' if winner.scheme == 'constant' else ','} {what}"
    return f"Train {optimizer} with {what}." if report.search else f"{optimizer} was trained with {what}, as given."


def _label_scaling(scaling: Scaling) -> str:
    scaled = "The rate is for labels scaled to mean 0 and standard deviation 1"
    if len(scaling.scale) > 1:
        return f"{scaled}, each by itself, and so are the losses; the model's outputs are in the labels' own units."
    by = f"minus {wording.number(scaling.offset[0], 4)}, divided by {wording.number(scaling.scale[0], 4)}"
    return f"{scaled} ({by}); losses and the model's outputs are in the labels' own units."


def _remarks(report: Report) -> list[str]:
    """Return what qualifies the headline."""
    remarks, train = [], report.train
    if report.winner.params:
        remarks.append(f"Parameters of the scheme: {wording.params(report.winner.params)}.")
    if report.lr_multipliers:
        remarks.append(f"The model's layers train at multiples of the rate: {wording.params(report.lr_multipliers)}.")
    if train and (scaling := train.label_scaling):
        remarks.append(_label_scaling(scaling))
    if train and train.unsaved:
        why = train.unsaved.rstrip(".")
        remarks.append(f"The network could not be saved as a model ({why}); its weights are in model.weights.h5.")
    if report.search is None:
        remarks.append("There was no search, so nothing shows that this is the best choice.")
    else:
        if report.search.history:
            remarks.append(f"The search {wording.started_from(report.search.history)}.")
        remarks.extend([*_standing(report.search), *transferred(report.search), *scaled(report.search)])
    if train and train.recomputed:
        remarks.append(
            "The training is too short for BatchNormalization's moving averages:"
            " its statistics, the model's too, were recomputed on training batches."
        )
    for found in report.range_tests:
        if found.verdict == "refused":
            which = setting_prefix(found, report.range_tests).rstrip()
            what = f"The range test of {which}" if which else "The range test"
            remarks.append(f"{what} refused to suggest a rate: {found.reason.rstrip('.')}.")
    return remarks


def _standing(search: SearchResult) -> list[str]:
    """Return what is tied with the winner, and which baselines did better."""
    remarks, label = [], search.objective.label
    if search.objective != VAL_LOSS:
        better = "lower" if search.objective.direction == "min" else "higher"
        remarks.append(f"This is judged by {label}; {better} is better.")
    row = next((entry.row for entry in entries(search) if entry.role == "winner"), None)
    if row is not None and not row.seeds:
        cause = search.reason.partition("not compared: ")[2].partition(";")[0]
        remarks.append(f"It was not compared with any other choice: {cause}.")
    elif row is not None and row.verdict in ("tie", "equivalent"):
        remarks.extend(_tie(search, row))
    if row is not None and min(len(row.seeds), search.splits) > 1:
        remarks.append(wording.spread(len(row.seeds), search.splits))
    for baseline in search.baselines:
        if baseline.gain.mean < 0:
            better = f"did better in {label} on the same seeds"
            if gain_verdict(baseline.gain) == "unclear":
                better = (
                    f"had a better mean {label} on the same seeds, but the interval of the difference includes zero"
                )
            kind = ", a constant rate," if baseline.row.scheme == CONSTANT else ""
            remarks.append(f"{baseline.name}{kind} {better}.")
    return [*remarks, *unanswered(search)] if row is not None and row.seeds else remarks


def _tie(search: SearchResult, row: LeaderboardRow) -> list[str]:
    """Return what may be as good as the winner, and how much better at most."""
    others = [wording.scheme(name) for name in search.ties]
    others += [baseline.name for baseline in search.baselines if baseline.row.verdict == row.verdict]
    names, most, seeds = wording.listed(others), wording.number(row.difference.high), len(row.seeds)
    if seeds < 2:
        return [
            f"This is a tie: one seed each cannot distinguish it from {names}, and gives no bound on the difference."
        ]
    behind = f"In {search.objective.label} it is at most {most} behind the best of them."
    if row.verdict == "equivalent":
        return [f"It hardly matters which is used: it is equivalent to {names}, within the tolerance.", behind]
    drawn = "this split" if search.splits == 1 else "splits"
    return [f"This is a tie: on these seeds and {drawn} of the data, nothing distinguishes it from {names}.", behind]


def transferred(search: SearchResult) -> list[str]:
    """Return a sentence for each other budget tried, saying whether the winner wins there too."""
    return [f"{_budget(row)} {_outcome(row)}." for row in search.transfer]


def scaled(search: SearchResult) -> list[str]:
    """Return a sentence on how the best rate depends on the batch size, if trainings at several sizes could show it."""
    law = search.batch_scaling
    if law is None:
        return _not_scaled(search)
    low, middle, high = (wording.number(one, 2) for one in (law.exponent_low, law.exponent, law.exponent_high))
    sizes = wording.listed([str(size) for size in law.batch_sizes])
    rates = [
        f"{wording.number(one.initial_lr)} with batches of {one.batch_size}"
        f" ({wording.number(one.lr_low)} to {wording.number(one.lr_high)})"
        for one in law.rates
    ]
    use = f": use about {wording.listed(rates)}" if rates else ""
    return [
        f"At other batch sizes, the best initial rate of {wording.optimizer(law.optimizer)} is about proportional to"
        f" the batch size to the power of {middle} (95% interval {low} to {high}, measured at {sizes}){use}."
    ]


def _not_scaled(search: SearchResult) -> list[str]:
    if not search.further_batch_sizes:
        return []
    sizes = sorted({*search.further_batch_sizes, search.winner.batch_size})
    at = wording.listed([str(size) for size in sizes])
    return [f"The trainings with batches of {at} do not show how the best initial rate depends on the batch size."]


def _budget(row: Transfer) -> str:
    share = {0.5: "half", 2.0: "double"}.get(row.factor, f"{wording.number(row.factor)} times")
    return f"With {share} the epochs ({wording.number(row.epochs)})"


def _outcome(row: Transfer) -> str:
    others = wording.listed([wording.scheme(name) for name in row.rivals])
    if row.verdict == "winner":
        return f"it is still the winner of {len(row.candidates)} candidates"
    if row.verdict == "tie" and not row.rivals:
        return "it was not compared with any other choice"
    if row.verdict == "equivalent":
        return f"it is equivalent to {others}, within the tolerance"
    if row.verdict == "tie":
        most = wording.number(row.difference.high)
        return f"it may still be the best, but nothing distinguishes it from {others} (at most {most} behind)"
    lost = "it diverges on at least one seed" if row.verdict == "diverged" else "it is beaten"
    return f"{lost}: {'the best is' if len(row.rivals) == 1 else 'the best is one of'} {others}" if others else lost


def _score(report: Report) -> str:
    """Return the mean test results of the final trainings as a sentence; "" without any."""
    train = report.train
    if train is None:
        return ""
    if train.test_accuracy is None:
        own = f": {wording.scores(train.test_metrics)}" if report.prepare.outputs else ""
        return f"Test loss {wording.loss(train.test_loss)} ({_spread(report, train)}){own}."
    accuracy = wording.percent(train.test_accuracy)
    return f"Test accuracy {accuracy} ({_spread(report, train)}), test loss {wording.loss(train.test_loss)}."


def _spread(report: Report, train: TrainResult) -> str:
    """Return the number of seeds behind the test score, and its interval."""
    scores, splits = train.seeds, train.splits > 1
    seeds, interval = wording.count(len(scores), "seed"), train.test_accuracy_interval
    if interval is not None:
        examples = wording.count(report.prepare.test_examples, "test example")
        bounds = (
            f"{wording.level(interval)} interval {wording.percent(interval.low)} to {wording.percent(interval.high)}"
        )
        covered = (
            f"over seeds{', splits' * splits} and {examples}"
            if len(scores) > 1
            else f"over {examples}; the spread of seeds is unknown"
        )
        return f"{'mean of ' if len(scores) > 1 else ''}{seeds}, {bounds} {covered}"
    if len(scores) < 2:
        return f"{seeds}, so its spread is unknown"
    losses = [score.test_loss for score in scores]
    if len(losses) == _TWO:
        return f"mean of {seeds}, {wording.listed([wording.loss(value) for value in losses])}"
    return f"mean of {seeds}, {bounded(mean_interval(losses))} over seeds{' and splits' * splits}"


def _tiles(report: Report, gains: tuple[Gain, ...]) -> list[Tile]:
    """Return the key numbers: the verdict, the test score, the gains, the cost, and the range of good rates."""
    tiles, train = [how_sure(report.search)] if report.search else [], report.train
    if train and train.test_accuracy is None:
        tiles += [Tile("Test loss", wording.loss(train.test_loss), (_spread(report, train),)), *_mae(report)]
    elif train and train.test_accuracy is not None:
        tiles.append(Tile("Test accuracy", wording.percent(train.test_accuracy), (_spread(report, train),)))
    tiles += [*(gain.tile for gain in gains), cost(report)]
    if report.search is not None and wide_enough(basin := report.search.basin):
        span = f"{wording.number(basin.lr_low)} to {wording.number(basin.lr_high)}"
        within = f"{basin.decades:.1f} decades of initial rates within noise of the best"
        tiles.append(Tile("Rates as good", span, (within,)))
    return tiles


def _mae(report: Report) -> list[Tile]:
    histories = [named.training.history.get("val_mae", ()) for named in report.trainings if named.role == "winner"]
    errors = [values[-1] for values in histories if values]
    if not errors:
        return []
    trainings = wording.count(len(errors), "training")
    return [
        Tile(
            "Validation MAE", wording.number(float(np.mean(errors)), 4), (f"mean absolute error, mean of {trainings}",)
        )
    ]
