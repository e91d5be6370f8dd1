"""The options of every stage: names, types, defaults and limits. The only place that validates options.

A stage's options extend those of the stage before it: a stage that is started alone must be able to find or run
the stages it depends on.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.errors import InputError, shortened
from pipeline.objective import VAL_LOSS, Objective
from pipeline.scale import AUTO, parse_scale
from pipeline.schedules import SCHEMES, Spacing, parse_params, validate
from pipeline.user_code import is_function

OptimizerName = Literal["sgd", "adam", "adamw", "adadelta", "adamax", "rmsprop", "nadam", "adagrad", "lion"]
SamplerName = Literal["tpe", "random", "quasi-random", "grid"]
Precision = Literal["auto", "float32", "mixed_bfloat16"]
BatchNorm = Literal["auto", "keras"]

LARGEST_BATCH = 65_536
MODELS = ("cnn", "mlp")
REFINE_OFF = "off"
RUN_CONTROL = frozenset({"experiment_name", "fresh", "checkpoint"})
"""Options that affect where and whether a stage runs, but not its result."""

Options = TypeVar("Options", bound="CommandOptions")

_WHOLE = re.compile(r"[0-9]{1,9}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{,4096}")
"""What MLflow can store: no control characters, no bytes that are not UTF-8, and no more than a path may have."""


def _none_if_empty(value: object) -> object:
    """Read an empty value as "not given": parameters of MLproject cannot be absent."""
    return None if value == "" else value


def _text(value: object) -> object:
    """Convert a single number to text: a list of one."""
    return str(value) if isinstance(value, int) else value


OptionalRate = Annotated[float | None, Field(gt=0, le=1e6, allow_inf_nan=False), BeforeValidator(_none_if_empty)]
OptionalCount = Annotated[int | None, BeforeValidator(_none_if_empty)]


class CommandOptions(BaseModel):
    """Options of any command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _plain_text(cls, value: object) -> object:
        if isinstance(value, str) and not _TEXT.fullmatch(value):
            raise ValueError("expected at most 4096 characters in UTF-8, without control characters")
        return value


class PrepareOptions(CommandOptions):
    """Options of `prepare`."""

    experiment_name: str = Field("lr-pipeline", min_length=1, max_length=500, description="MLflow experiment to log to")
    fresh: bool = Field(False, description="run again even where a finished run could be reused")
    checkpoint: float = Field(1.0, ge=0, le=1e6, description="minutes between checkpoints of a training; 0 writes none")
    data: str = Field("mnist-5k", min_length=1, description="a data set's name, a path, or module:function")
    target: str = Field("target", min_length=1, description="label column of .csv and .parquet")
    in_memory_mb: int = Field(1024, ge=0, le=2**30, description="data larger than this many MiB are not held in memory")
    scale: str = Field(AUTO, description="scaling of inputs: auto, none or standard; of several inputs name=way,...")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="first seed; fixes splits, initial weights and data order")
    deterministic: bool = Field(False, description="the same bits whatever the number of threads: trains on one")

    @field_validator("scale")
    @classmethod
    def _readable_scale(cls, value: str) -> str:
        parse_scale(value)
        return value


class RangeTestOptions(PrepareOptions):
    """Options of `range_test`: the network, its optimizer and how it is trained."""

    takes_several: ClassVar[bool] = False
    """Whether several optimizers and batch sizes may be given."""

    model: str = Field("cnn", description="cnn, mlp, or module:function returning a Keras model")
    optimizer: str = Field("sgd", description="Keras optimizer; the search takes several, comma-separated")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd; the others ignore it")
    batch_size: Annotated[str, BeforeValidator(_text)] = Field(
        "50", description="examples per optimizer update; the search takes several, comma-separated"
    )
    epochs: int = Field(5, ge=1, le=10_000, description="length of a full training, in passes over the training set")
    budget: float = Field(
        25.0, gt=1, le=1e6, description="most full trainings that range test, search and confirmation cost together"
    )
    precision: Precision = Field("auto", description="number format of the network's arithmetic")
    batch_norm: BatchNorm = Field("auto", description="recompute BatchNormalization's lagging averages, or not (keras)")
    scale_labels: bool = Field(False, description="train a regression on standardised labels; results keep their units")
    seeds: int = Field(3, ge=1, le=1_000, description="number of seeds, starting at `seed`")
    lr_min: OptionalRate = Field(None, description="lowest rate of the first sweep; default: by optimizer")
    lr_max: OptionalRate = Field(None, description="highest rate of the first sweep; default: by optimizer")
    spacing: Spacing = Field("exponential", description="a sweep's steps: equal in log rate, or in rate (linear)")
    refine: str = Field(REFINE_OFF, description="scheme of the trainings that refine the range test's rate, or off")

    @classmethod
    def _refuse_several(cls, given: Sequence[object]) -> None:
        if len(given) > 1 and not cls.takes_several:
            raise ValueError("expected one; only the search takes several")

    @field_validator("optimizer")
    @classmethod
    def _known_optimizers(cls, value: str) -> str:
        known, given = get_args(OptimizerName), value.split(",")
        cls._refuse_several(given)
        if len(set(given)) < len(given) or not set(given) <= set(known):
            raise ValueError(f"expected one of {', '.join(known)}, or several, comma-separated, each once")
        return value

    @field_validator("batch_size")
    @classmethod
    def _possible_batch_sizes(cls, value: str) -> str:
        given = [int(size) if _WHOLE.fullmatch(size) else 0 for size in value.split(",")]
        cls._refuse_several(given)
        if len(set(given)) < len(given) or not all(1 <= size <= LARGEST_BATCH for size in given):
            raise ValueError(f"expected a number from 1 to {LARGEST_BATCH}, or several, comma-separated, each once")
        return ",".join(map(str, given))

    @property
    def optimizers(self) -> tuple[str, ...]:
        """The optimizers, in the order in which they were given."""
        return tuple(self.optimizer.split(","))

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes, in the order in which they were given."""
        return tuple(int(size) for size in self.batch_size.split(","))

    @field_validator("model")
    @classmethod
    def _known_model(cls, value: str) -> str:
        if value in MODELS or is_function(value):
            return value
        raise ValueError(f"expected one of {', '.join(MODELS)}, or module:function")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.lr_min is None or self.lr_max is None or self.lr_min < self.lr_max:
            return self
        received = f"{self.lr_min:g} and {self.lr_max:g}"
        raise ValueError(f"lr_min and lr_max: received {received}, expected lr_min below lr_max")

    @field_validator("refine")
    @classmethod
    def _known_refinement(cls, value: str) -> str:
        trainable = [name for name, scheme in SCHEMES.items() if not scheme.reactive]
        if value in (REFINE_OFF, *trainable):
            return value
        raise ValueError(f"expected {REFINE_OFF}, or one of {', '.join(trainable)}")


class SearchOptions(RangeTestOptions):
    """Options of `search`."""

    takes_several: ClassVar[bool] = True

    schemes: str = Field("all", description="comma-separated scheme names that the search may choose from")
    minutes: OptionalRate = Field(None, description="most minutes of range test and search; default: any")
    tolerance: float = Field(0.0, ge=0, lt=1, description="share of the loss below which a difference does not matter")
    trials: OptionalCount = Field(
        None, ge=1, le=100_000, description="trainings to try before the best are confirmed; default: by budget"
    )
    sampler: SamplerName = Field(
        "tpe", description="what proposes parameters where there are many trials: tpe, random, quasi-random or grid"
    )
    confirm_seeds: OptionalCount = Field(
        None, ge=2, le=1_000, description="most fresh seeds on which the finalists are compared; default: by budget"
    )
    top_k: OptionalCount = Field(None, ge=1, le=100, description="finalists that are confirmed; default: by budget")
    transfer: bool = Field(False, description="also compare the finalists at half and at double the epochs")
    splits: int = Field(1, ge=1, le=1_000, description="train/validation splits for confirmation and final training")
    objective: str = Field(
        VAL_LOSS.metric,
        description="metric to judge by: val_loss, val_accuracy, val_METRIC, max:val_METRIC or min:val_METRIC",
    )

    @field_validator("objective")
    @classmethod
    def _readable_objective(cls, value: str) -> str:
        Objective.parse(value)
        return value

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

    scheme: Annotated[str | None, BeforeValidator(_none_if_empty)] = Field(
        None, description="scheme to train; default: the search's winner"
    )
    initial_lr: OptionalRate = Field(None, description="initial rate to train with, together with `scheme`")
    scheme_params: str = Field("", description="the scheme's parameters, as name=value,name=value")
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


class MainOptions(ReportOptions):
    """Options of `main`, the whole chain."""


class ReproduceOptions(PrepareOptions):
    """Options of `reproduce`, which takes all others from the articles."""

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


def validated(model: type[Options], values: Mapping[str, object]) -> Options:
    """Build `model` from `values`, or raise InputError with one line that names each fault."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError("; ".join(_fault(model, dict(fault)) for fault in error.errors())) from None


def _fault(model: type[CommandOptions], fault: dict[str, object]) -> str:
    location = fault["loc"]
    name = ".".join(str(part) for part in location) if isinstance(location, tuple) else ""
    message = re.sub(r"^(Value error, |Input should be |String should have )", "", str(fault["msg"]))
    if not name:
        return message
    if fault["type"] == "extra_forbidden":
        message = f"one of {', '.join(model.model_fields)}"
    return f"{name}: received {shortened(repr(fault['input']))}, expected {message.removeprefix('expected ')}"
