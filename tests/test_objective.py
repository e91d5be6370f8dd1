"""The objective: how it is read, which direction a name implies, and the sign that the search works with."""

import pytest

from pipeline.objective import VAL_LOSS, Objective, usual_direction


@pytest.mark.parametrize(
    ("text", "metric", "direction"),
    [
        ("val_loss", "val_loss", "min"),
        ("val_accuracy", "val_accuracy", "max"),
        ("val_top_2_accuracy", "val_top_2_accuracy", "max"),
        ("max:val_gain", "val_gain", "max"),
        ("min:val_gain", "val_gain", "min"),
        ("max:val_error", "val_error", "max"),
        ("max:val_a:b c", "val_a:b c", "max"),
    ],
)
def test_an_objective_is_read(text: str, metric: str, direction: str) -> None:
    """A direction given by the user overrides the one implied by the name."""
    objective = Objective.parse(text)
    assert (objective.metric, objective.direction) == (metric, direction)


@pytest.mark.parametrize("text", ["", "accuracy", "val_", "max:", "max:loss", "best:val_loss", "min:max:val_loss"])
def test_anything_but_a_validation_metric_is_refused(text: str) -> None:
    """The message says what is expected."""
    with pytest.raises(ValueError, match="expected val_loss, val_accuracy, or val_ and the name of a metric"):
        Objective.parse(text)


def test_unknown_direction_must_be_given() -> None:
    """A wrong guess would search for the worst."""
    with pytest.raises(ValueError, match="expected max:val_gain or min:val_gain"):
        Objective.parse("val_gain")


@pytest.mark.parametrize(
    ("direction", "names"),
    [
        # The default names of Keras' metrics, a second one's with a number, and usual abbreviations.
        (
            "max",
            "accuracy acc binary_accuracy sparse_categorical_accuracy top_k_categorical_accuracy auc auc_1 precision_2"
            " recall precision_at_recall sensitivity_at_specificity f1_score fbeta_score r2_score mean_io_u binary_io_u"
            " one_hot_mean_io_u IoU dice head_accuracy",
        ),
        (
            "min",
            "loss mae mse rmse mape msle mean_absolute_error root_mean_squared_error mean_squared_logarithmic_error"
            " sparse_categorical_crossentropy kl_divergence poisson logcosh_error log_cosh squared_hinge"
            " categorical_hinge head_loss",
        ),
        (None, "gain cosine_similarity true_positives accuracy_loss lossy precise sum"),
    ],
)
def test_names_imply_the_direction(direction: str | None, names: str) -> None:
    """Whole words count; no known word, or two that disagree, imply nothing."""
    assert {name: usual_direction(f"val_{name}") for name in names.split()} == dict.fromkeys(names.split(), direction)


def test_oriented_values_are_minimised() -> None:
    """Orienting twice gives the value back; the label is for people."""
    gain = Objective("val_mean_gain", "max")
    assert gain.oriented(0.25) == -0.25
    assert gain.oriented(gain.oriented(0.25)) == VAL_LOSS.oriented(0.25) == 0.25
    assert (gain.label, VAL_LOSS.label) == ("validation mean gain", "validation loss")


@pytest.mark.parametrize(
    ("metric", "steps"),
    [
        ("val_accuracy", True),
        ("val_acc", True),
        ("val_sparse_categorical_accuracy", True),
        ("val_loss", False),
        ("val_auc", False),
    ],
)
def test_an_accuracy_moves_in_steps(metric: str, steps: bool) -> None:
    """It is a share of examples; other metrics are not."""
    assert Objective.parse(metric).is_accuracy == steps
