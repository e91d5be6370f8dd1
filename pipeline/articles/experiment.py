"""The two articles, the form of their experiments and results, and their splits of the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from pipeline.datasets import PrepareResult, Raw, Splits, split
from pipeline.datasets.splits import assemble
from pipeline.errors import InputError
from pipeline.evaluation import Candidate
from pipeline.results import Interval, Result, SeedScore
from pipeline.scale import AUTO
from pipeline.schedules import Value

Article = Literal["a", "b"]
Group = Literal["fixed", "decay", "solution", "answer"]
RatesFrom = Literal["article", "search", "interval"]


ARTICLES = {
    "a": "Learning Rate Decay (GeeksforGeeks, updated 2025)",
    "b": "Problems with fixed and decaying learning rates (MachineCurve, 2019, updated 2021)",
}

PUBLISHED_EXAMPLES = 60_000
"""Training examples of MNIST, which both articles use."""


@dataclass(frozen=True)
class Figures:
    """The test results that an article reports for one training."""

    test_accuracy: float
    test_loss: float | None = None


@dataclass(frozen=True)
class Check:
    """How a claim is judged; see `judging`.

    Attributes:
        kind: "learns" and "stuck" compare the test loss with that of guessing; "worse" and "better" compare it with
            that of the experiment `than`, seed by seed; "above" compares the test accuracy with `accuracy`.
        than: the experiment to compare with, for the verdict or only for information.
        accuracy: a fraction, at most 1.

    """

    kind: Literal["learns", "stuck", "worse", "better", "above"]
    than: str = ""
    accuracy: float = 1.0


@dataclass(frozen=True)
class Experiment:
    """One row of the articles' page: a network trained in one way, on several seeds.

    Attributes:
        id: the article's letter (S for this project's answers) and a number, in the order of the article.
        claim: what the article, or this project, claims about the training.
        check: how the claim is judged.
        rates_from: where scheme and rate come from: the article, the `search`, or the `interval` of the range test.
        found_by: the id of the answer whose search or range test is used; "" if the article gives scheme and rate.
        published: the article's test results, if it has any.
        patience: the fraction of the epochs after which the training stops without a better validation loss, and
            restores the weights of its best epoch; 0 trains to the end.
        more_seeds: added to the number of seeds that the user asks for.

    """

    id: str
    article: Article
    group: Group
    title: str
    claim: str
    check: Check
    model: str
    optimizer: str
    batch_size: int
    epochs: int
    momentum: float = 0.0
    scheme: str = ""
    initial_lr: float = 0.0
    params: Mapping[str, Value] = field(default_factory=dict)
    rates_from: RatesFrom = "article"
    found_by: str = ""
    published: Figures | None = None
    patience: float = 0.0
    more_seeds: int = 0

    @property
    def name(self) -> str:
        """The name of its run: `B1 Adam 0.001`."""
        return f"{self.id} {self.title}"

    @property
    def candidate(self) -> Candidate:
        """What is trained; the scheme and rate are empty if a search or range test supplies them."""
        return Candidate(
            scheme=self.scheme,
            initial_lr=self.initial_lr,
            optimizer=self.optimizer,
            batch_size=self.batch_size,
            params=dict(self.params),
        )

    @property
    def cost(self) -> int:
        """The rough duration of an epoch, relative to article a's network: convolutions cost more."""
        return 1 if self.model == "mlp" else 5


ClaimVerdict = Literal["supported", "not supported", "within noise", "not run"]


class ExperimentResult(Result):
    """One experiment of the articles; `candidate` is None if it was not run, for the given `reason`."""

    id: str
    candidate: Candidate | None
    epochs: int
    scores: tuple[SeedScore, ...]
    reason: str = ""


class ClaimResult(Result):
    """An article's claim about one training, with its published numbers, and our verdict from one training per seed.

    `difference` is our test loss minus that of the experiment `compared_with`, paired by seed; positive is worse.
    """

    id: str
    title: str
    claim: str
    published_accuracy: float | None
    published_loss: float | None
    test_accuracy: Interval | None
    test_loss: Interval | None
    compared_with: str
    difference: Interval | None
    verdict: ClaimVerdict
    remark: str
    trained: ExperimentResult


class ReproduceResult(Result):
    """The articles' experiments; `as_published` says whether data and epochs are those of the articles.

    `printed_rates` are the rates that article a prints, at the start of each epoch and at the end.
    """

    data: str
    train_examples: int
    as_published: bool
    experiments: tuple[ClaimResult, ...]
    printed_rates: tuple[float, ...]


_KEPT = 0.8
"""The fraction that article b trains on; its `validation_split` holds out the rest."""


def as_published(raw: Raw) -> bool:
    """Return whether the articles' splits are possible: they need an official test set."""
    return raw.x_test is not None


def refuse_unusable(prepared: PrepareResult, article: str) -> None:
    """Check that the experiments can use the data, before hours are spent on searches.

    Raises:
        InputError: the labels are not classes, or article b's networks would not get images.

    """
    if prepared.task != "classification":
        raise InputError("data: received labels that are no classes, expected classes, as both articles have them")
    shape = prepared.input_shape
    if article != "a" and len(shape) != 3:
        raise InputError(f"data: received inputs of shape {shape}, expected images for article b, or article=a")


def split_as_articles(raw: Raw, article: Article, seed: int, scale: str = AUTO, *, hash_text: bool = False) -> Splits:
    """Split the data as the article does, or at random if the source has no official test set.

    Article a trains on the whole training set and validates on the test set. Article b holds out the last fifth of the
    training set, as Keras' `validation_split` does, which never shuffles.

    Raises:
        InputError: the data cannot be used.

    """
    if not as_published(raw):
        return split(raw, seed, scale=scale, hash_text=hash_text)
    rows = np.arange(len(raw.y_train))
    first = int(len(rows) * _KEPT)  # Keras rounds down too
    if article == "b":
        return assemble(raw, rows[:first], rows[first:], None, scale)
    whole = assemble(raw, rows, rows[first:], None, scale)
    return replace(whole, x_val=whole.x_test, y_val=whole.y_test, w_val=whole.w_test)
