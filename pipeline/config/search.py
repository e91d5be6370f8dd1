"""Options of the search and of the stages after it, and of `reproduce`."""

import re
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.config.common import OptionalCount, OptionalName, OptionalRate
from pipeline.config.training import PrepareOptions, RangeTestOptions
from pipeline.objective import VAL_LOSS, Objective
from pipeline.rivals import Rival, parse_rivals
from pipeline.schedules import SCHEMES, parse_params, validate
from pipeline.usages import DECAYING, usage

_COMPARES = 8
"""The least budget that leaves a comparison, after any range test."""

SamplerName = Literal["tpe", "random", "quasi-random", "grid"]


class SearchOptions(RangeTestOptions):
    """Options of `search`."""

    subject: ClassVar[str] = "search"

    takes_several: ClassVar[bool] = True

    schemes: str = Field(
        "all",
        description="comma-separated scheme names that the search may choose from",
        examples=["linear,cosine,one_cycle"],
    )
    minutes: OptionalRate = Field(
        None, description="most minutes of range test and search; default: any", examples=["30"]
    )
    tolerance: float = Field(
        0.0, ge=0, lt=1, description="share of the loss below which a difference does not matter", examples=["0.01"]
    )
    trials: OptionalCount = Field(
        None, ge=1, le=100_000, description="trainings to try before the best are confirmed; default: by budget"
    )
    sampler: SamplerName = Field(
        "tpe", description="what proposes parameters where there are many trials: tpe, random, quasi-random or grid"
    )
    space: Literal["usual", "wide"] = Field(
        "usual", description="wide: many trials also vary warm-up, cooldown of any length and shape, exponents up to 6"
    )
    history: Literal["off", "related"] = Field(
        "off", description="related: trials begin where the answer of a related earlier search in the store points"
    )
    weight_decay: Literal["fixed", "search"] = Field(
        "fixed", description="search: also try other weight decays than the optimizer's own, within the budget"
    )
    confirm_seeds: OptionalCount = Field(
        None, ge=2, le=1_000, description="most fresh seeds on which the finalists are compared; default: by budget"
    )
    top_k: OptionalCount = Field(None, ge=1, le=100, description="finalists that are confirmed; default: by budget")
    transfer: bool = Field(False, description="also compare finalists at half and double the epochs, beyond the budget")
    batch_transfer: bool = Field(
        False, description="also measure the best rate at two other batch sizes by 12 trainings, beyond the budget"
    )
    rivals: str = Field(
        "",
        description="what the winner is compared with too, beyond the budget: optimizer:scheme:rate, comma-separated",
        examples=["lion", "adamw:cosine:0.003,nadam"],
    )
    splits: int = Field(1, ge=1, le=1_000, description="train/validation splits for confirmation and final training")
    objective: str = Field(
        VAL_LOSS.metric,
        description="metric to judge by: val_loss, val_accuracy, val_METRIC, max:val_METRIC or min:val_METRIC",
        examples=["val_accuracy", "min:val_mae"],
    )

    @field_validator("objective")
    @classmethod
    def _readable_objective(cls, value: str) -> str:
        Objective.parse(value)
        return value

    @field_validator("rivals")
    @classmethod
    def _readable_rivals(cls, value: str) -> str:
        parse_rivals(value)
        return value

    @property
    def rival_candidates(self) -> tuple[Rival, ...]:
        """What the winner is compared with too."""
        return parse_rivals(self.rivals)

    @model_validator(mode="after")
    def _budget_can_be_kept(self) -> Self:
        settings = len(self.optimizers) * len(self.batch_sizes)
        trials, finalists = max(self.trials or 1, settings), self.top_k or 1
        least = trials + finalists * (self.confirm_seeds or 0)
        if self.budget > least:
            return self
        sizes = ("trials", "top_k", "confirm_seeds")
        given = ", ".join(f"{name}={value}" for name in sizes if (value := getattr(self, name)) is not None)
        what = given or f"{settings} combinations of optimizer and batch size"
        raise ValueError(f"budget: received {self.budget:g}, expected more than {least} full trainings for {what}")

    @model_validator(mode="after")
    def _schemes_suit_an_optimizer(self) -> Self:
        suited = [usage(optimizer).schemes for optimizer in self.optimizers]
        wanted = self.schemes.split(",")
        if self.schemes == "all" or not all(suited) or any(set(schemes) & set(wanted) for schemes in suited):
            return self
        accepted = ", ".join(dict.fromkeys(scheme for schemes in suited for scheme in schemes))
        received = f"{self.schemes!r} with optimizer={self.optimizer}"
        raise ValueError(f"schemes: received {received}, expected all, or one that it is searched with: {accepted}")

    @model_validator(mode="after")
    def _decay_can_be_searched(self) -> Self:
        if self.weight_decay == "fixed" or set(self.optimizers) <= set(DECAYING):
            return self
        received = f"{self.weight_decay!r} with optimizer={self.optimizer}"
        raise ValueError(f"weight_decay: received {received}, expected optimizers among {', '.join(DECAYING)}")

    @model_validator(mode="after")
    def _rivals_are_compared(self) -> Self:
        if not self.rivals or self.confirm_seeds or self.budget >= _COMPARES:
            return self
        received = f"{self.rivals!r} with budget={self.budget:g}"
        raise ValueError(f"rivals: received {received}, expected a budget of {_COMPARES} or more, or confirm_seeds")

    @property
    def judged_by(self) -> Objective:
        """The objective with its direction."""
        return Objective.parse(self.objective)

    @field_validator("schemes")
    @classmethod
    def _known_schemes(cls, value: str) -> str:
        searchable = [name for name, scheme in SCHEMES.items() if scheme.searchable]
        unknown = [name for name in value.split(",") if name not in searchable]
        if value != "all" and unknown:
            raise ValueError(f"expected 'all' or a comma-separated choice of {', '.join(searchable)}")
        return value

    def scheme_names(self) -> tuple[str, ...]:
        """Return the schemes to choose from, in the order of the table."""
        wanted = self.schemes.split(",")
        return tuple(n for n, scheme in SCHEMES.items() if scheme.searchable and (wanted == ["all"] or n in wanted))


class TrainOptions(SearchOptions):
    """Options of `train`, which trains the search's winner unless a scheme is given."""

    subject: ClassVar[str] = "final training"

    scheme: OptionalName = Field(None, description="scheme to train; default: the search's winner", examples=["cosine"])
    initial_lr: OptionalRate = Field(
        None, description="initial rate to train with, together with `scheme`", examples=["0.03"]
    )
    scheme_params: str = Field(
        "", description="the scheme's parameters, as name=value,name=value", examples=["final_fraction=0.01"]
    )
    torch_schedule: bool = Field(False, description="also write schedule_torch.py, the schedule as a PyTorch LambdaLR")

    @model_validator(mode="after")
    def _scheme_is_whole(self) -> Self:
        if (self.scheme is None) != (self.initial_lr is None):
            received = f"scheme={self.scheme!r}, initial_lr={self.initial_lr!r}"
            raise ValueError(f"scheme and initial_lr belong together: received {received}, expected both or neither")
        if self.scheme is None:
            if self.scheme_params:
                received = repr(self.scheme_params)
                raise ValueError(
                    f"scheme_params: received {received}, expected none unless scheme and initial_lr are given"
                )
            return self
        for name in ("optimizer", "batch_size"):
            if "," in (received := getattr(self, name)):
                raise ValueError(f"{name}: received {received!r}, expected one where scheme and initial_lr are given")
        validate(self.scheme, parse_params(self.scheme_params))
        return self


class ReportOptions(TrainOptions):
    """Options of `report`."""

    subject: ClassVar[str] = "report"

    runs: OptionalName = Field(
        None,
        description="ids of training runs to compare, comma-separated, whoever logged them, in place of the report",
        examples=["ID1,ID2"],
    )

    @field_validator("runs")
    @classmethod
    def _several_runs(cls, value: str | None) -> str | None:
        ids = (value or "").split(",")
        if value is None or (2 <= len(set(ids)) == len(ids) <= _MOST_RUNS and all(map(_RUN_ID.fullmatch, ids))):
            return value
        raise ValueError(f"expected 2 to {_MOST_RUNS} different ids of runs, separated by commas")

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs to compare."""
        return tuple(self.runs.split(",")) if self.runs else ()


_RUN_ID = re.compile(r"[a-zA-Z0-9][\w-]{0,255}", re.ASCII)
"""What MLflow takes for one."""

_MOST_RUNS = 12


class MainOptions(TrainOptions):
    """Options of `main`, the whole chain."""


class ReproduceOptions(PrepareOptions):
    """Options of `reproduce`, which takes all others from the articles."""

    subject: ClassVar[str] = "articles"

    article: Literal["a", "b", "all"] = Field("all", description="the article whose experiments to run")
    epochs: OptionalCount = Field(None, ge=1, le=10_000, description="epochs of a training; default: as in the article")
    seeds: int = Field(
        3,
        ge=1,
        le=998,  # with two more, at most 1,000, as for the other stages
        description="number of seeds, starting at `seed`; two more for answers and what they are compared with",
    )
    answers: bool = Field(True, description="also search for the best rates and decays, which takes most of the time")
    budget: float = Field(25.0, gt=1, le=1e6, description="most full trainings that each of these searches costs")
    trials: OptionalCount = Field(
        None, ge=1, le=100_000, description="trainings to try in each of them; default: by budget"
    )
