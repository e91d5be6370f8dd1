"""What `find` returns: the answer in words, tables and figures, and as a Keras schedule."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline import schedules
from pipeline.datasets import Scaling
from pipeline.errors import refusal
from pipeline.evaluation import Candidate
from pipeline.optimizers import with_own_multipliers
from pipeline.reporting import report_page
from pipeline.reporting.answer import compose
from pipeline.reporting.report_inputs import Report
from pipeline.results import RangeTestResult, SearchResult
from pipeline.stages.search import leaderboard_frame
from pipeline.training import InProcess
from pipeline.training.copies import compile_like
from pipeline.training.own_optimizer import fresh


@dataclass(frozen=True, eq=False)
class Found:
    """What `find` found; `print` shows the answer in words, and a notebook the leaderboard too.

    Attributes:
        search: as in `result.json` of the stage `search`: winner, leaderboard, ties, baselines, reason, and so on.
        range_tests: as in `result.json` of `range_test`, one for each optimizer and batch size.
        steps: the updates of a full training of the winner.
        interrupted: whether Ctrl-C ended the search, so that this is the best answer so far.

    """

    search: SearchResult
    range_tests: tuple[RangeTestResult, ...]
    steps: int
    interrupted: bool
    _report: Report = field(repr=False)
    _executor: InProcess = field(repr=False)
    _encoder: Any = field(repr=False, default=None)

    @property
    def winner(self) -> Candidate:
        """Scheme, initial rate, optimizer, batch size and the scheme's parameters to train with."""
        return self.search.winner

    @property
    def leaderboard(self) -> pd.DataFrame:
        """Finalists and baselines, the best first: loss with interval, distance to the best, verdict."""
        return leaderboard_frame(self.search)

    @property
    def figures(self) -> dict[str, Figure]:
        """The report's figures by name, such as `range_test`, `lr_curves` and `leaderboard`."""
        return report_page.figures(self._report)

    @property
    def columns(self) -> dict[str, str]:
        """What was done to each column of a table; empty where the data are arrays."""
        return self._report.prepare.columns

    def inputs(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        """Return the rows of a table as the network was given them: encoded and scaled, float32 [n, features].

        Raises:
            InputError: if the network was not given a table that was encoded.
            ValueError: if a column is missing, or a value is none of its column's kind.

        """
        if self._encoder is None:
            raise refusal("inputs", "arrays, which the network took as they are", "a search on a DataFrame")
        scaling = self._executor.scaling
        assert isinstance(scaling, Scaling)  # a table is one input
        return np.asarray((self._encoder.transform(frame) - scaling.offset) / scaling.scale, np.float32)

    def schedule(self) -> keras.optimizers.schedules.LearningRateSchedule:
        """Return the winner's rates as a Keras schedule, which an optimizer takes as its `learning_rate`.

        Raises:
            InputError: if the winner's scheme follows the validation loss, so that its rates are not known in advance.

        """
        winner = self.winner
        if schedules.SCHEMES[winner.scheme].reactive:
            raise refusal("schedule", f"{winner.scheme}, which follows the validation loss", "a scheme of fixed rates")
        per_epoch = self._report.prepare.steps_per_epoch(winner.batch_size)
        return RateCurve(
            schedules.curve(
                winner.scheme,
                steps=self.steps,
                steps_per_epoch=per_epoch,
                initial_lr=winner.initial_lr,
                params=winner.params,
            )
        )

    def compile(self, model: keras.Model) -> None:
        """Compile a model with the winner's optimizer and schedule; losses and metrics stay, or are the search's.

        Its layers get the rates that its `lr_multipliers` or else those of the search ask for.

        Raises:
            InputError: if the rates are not known in advance, or the model has no such layers or undecayed weights.

        """
        searched = self._executor.compiled(self.winner)
        if getattr(model, "lr_multipliers", None) is None:
            model.lr_multipliers = getattr(searched, "lr_multipliers", None)
        optimizer = with_own_multipliers(fresh(searched, self.schedule(), model), model)
        compile_like(model, model if model.compiled else searched, optimizer)

    def report(self, path: str | Path) -> Path:
        """Write the report, one HTML page that loads nothing from outside, and return its path."""
        Path(path).write_text(report_page.render(self._report), encoding="utf-8")
        return Path(path)

    def __str__(self) -> str:
        """Return the answer in words."""
        return "\n".join(compose(self._report).lines())

    def _repr_html_(self) -> str:
        return report_page.fragment(self._report)


@keras.saving.register_keras_serializable("lr_pipeline")
class RateCurve(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """One rate for each optimizer update, given as an array; after the last the rate stays."""

    def __init__(self, rates: Sequence[float] | schedules.Array) -> None:
        self.rates = np.asarray(rates, np.float32)

    def __call__(self, step: Any) -> Any:
        """Return the rate of an update, counted from 0."""
        update = keras.ops.minimum(keras.ops.cast(step, "int32"), len(self.rates) - 1)
        return keras.ops.take(keras.ops.convert_to_tensor(self.rates), update)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {"rates": self.rates.tolist()}
