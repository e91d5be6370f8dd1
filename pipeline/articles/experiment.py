"""What one experiment is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.evaluation import Candidate
from pipeline.schedules import Value

Article = Literal["a", "b"]
Group = Literal["fixed", "decay", "solution", "answer"]
RatesFrom = Literal["article", "search", "interval"]


@dataclass(frozen=True)
class Figures:
    """What an article reports on its test set, of one training."""

    test_accuracy: float
    test_loss: float | None = None


@dataclass(frozen=True)
class Check:
    """How to tell whether a claim holds; see `judging`.

    Attributes:
        kind: "learns" and "stuck" compare the test loss with that of guessing; "worse" and "better" compare it with
            the experiment `than`, seed by seed; "above" compares the test accuracy with `accuracy`.
        than: the experiment that this one is compared with, for the verdict or only beside it.
        accuracy: a fraction of 1.

    """

    kind: Literal["learns", "stuck", "worse", "better", "above"]
    than: str = ""
    accuracy: float = 1.0


@dataclass(frozen=True)
class Experiment:
    """One row of the articles' page: a network trained in one way, on several seeds.

    Attributes:
        id: what it is called, and in what order the articles have it.
        claim: what the article, or whoever made it, says about it.
        check: how to tell whether the claim holds.
        rates_from: where scheme and rate come from: the article, the `search`, or the `interval` of the range test.
        found_by: the answer whose search and range test those are; "" where the article gives them.
        published: the figures of the article, where it has some.
        epochs, batch_size, momentum, optimizer, model: as everywhere.
        patience: the training stops after this part of its epochs without a better validation loss, and keeps the
            weights of its best; 0 trains to the end.
        more_seeds: added to the number of seeds asked for.

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
        """What tells its run from others: `B1 Adam 0.001`."""
        return f"{self.id} {self.title}"

    @property
    def candidate(self) -> Candidate:
        """What the article trains with; without a scheme or rate where these come from elsewhere."""
        return Candidate(
            scheme=self.scheme,
            initial_lr=self.initial_lr,
            optimizer=self.optimizer,
            batch_size=self.batch_size,
            params=dict(self.params),
        )

    @property
    def cost(self) -> int:
        """Roughly how long an epoch takes, in epochs of article a's network: convolutions cost more."""
        return 1 if self.model == "mlp" else 5
