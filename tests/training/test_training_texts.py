"""Networks that take texts: their data, their vocabularies, their trainings, and what is served."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pipeline import datasets, find, lr_pipeline_model
from pipeline.datasets import Raw, Splits, described, split, text_inputs
from pipeline.errors import InputError
from pipeline.evaluation import Candidate, Evaluation, Training
from pipeline.lr_pipeline_model import VALUES
from pipeline.models import builder, built_by
from pipeline.training import InProcess, Problem
from pipeline.training.copies import copying

LABELS = np.array(["bad", "good"] * 60)
WORDS = ("the", "film", "was", "é")
TEXTS: Any = np.array(
    [f"{WORDS[n % 4]} {WORDS[n % 3]} {'superb' if label == 'good' else 'awful'} {n}" for n, label in enumerate(LABELS)],
    dtype=object,
)


def vectorization(**options: Any) -> layers.TextVectorization:
    """Return a layer without vocabulary."""
    return layers.TextVectorization(max_tokens=200, output_sequence_length=4, **options)


def classifier(*first: Any) -> keras.Model:
    """Return a network that ends in logits."""
    average = layers.GlobalAveragePooling1D()
    return keras.Sequential([*first, layers.Embedding(200, 4), average, layers.Dense(2)])


def bare() -> keras.Model:
    """Return a network without vocabulary."""
    return classifier(keras.Input((), dtype="string"), vectorization())


def adapted() -> keras.Model:
    """Return a network with a vocabulary of all texts, that takes them as [n, 1]."""
    layer = vectorization()
    layer.adapt(TEXTS)
    return classifier(keras.Input((1,), dtype="string"), layer)


class Subclassed(keras.Model):  # type: ignore[misc]
    """A network of the user's own class, without vocabulary."""

    def __init__(self) -> None:
        super().__init__()
        self.vectorization, self.rest = vectorization(), classifier()

    def call(self, inputs: Any) -> Any:
        return self.rest(self.vectorization(inputs))


def executor(build: Callable[[], keras.Model], splits: Splits) -> InProcess:
    """Return what trains a network on these data."""
    shape, texts = datasets.input_shape(splits.x_train), text_inputs(splits.x_train)
    function = built_by(lambda *_: build(), "network", shape, splits.num_outputs, splits.task, texts=texts)
    return InProcess(Problem(function, splits, 0.9, "auto"))


def trained(executor: InProcess, seed: int = 0) -> Training:
    """Return a short training, with its scores and weights."""
    candidate = Candidate(scheme="constant", initial_lr=0.3, optimizer="adam", batch_size=12, params={})
    [(_, training)] = executor.ask([Evaluation(candidate, 3, seed, test=True, weights=True)])
    return training


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("kind", [object, str, "bytes"])
def test_texts_stay_as_they_are(shape: tuple[int, ...], kind: Any, tmp_path: Path) -> None:
    """However they are given, and when prepared data are opened again."""
    given = np.char.encode(TEXTS.astype(str), "utf-8") if kind == "bytes" else TEXTS.astype(kind)
    splits = split(Raw(given.reshape(shape), LABELS), seed=0)
    assert described(splits.scaling) == ["texts, passed on as they are"]
    assert splits.x_train.shape[1:] == shape[1:]
    datasets.save(splits, tmp_path / "splits.npz")
    again = datasets.load_splits(tmp_path / "splits.npz")
    assert datasets.digests(again) == datasets.digests(splits)
    kept = np.concatenate([again.x_train, again.x_val, again.x_test]).ravel()
    assert sorted(text.decode() for text in kept) == sorted(TEXTS)
    assert datasets.example(again.x_train, 1).dtype == object
    assert datasets.example(again.x_train, 1).ravel()[0] in TEXTS


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array(["a", 1], dtype=object), "unusable values: received dtype object, shape"),
        (np.array([["a", "b"]]), r"unusable values: received dtype <U1, shape \(1, 2\); accepted: .* texts \[n\]"),
        (np.array([], dtype=str), "is empty"),
        (np.array(["\udcff"], dtype=object), "text that is not Unicode"),
        (np.array(["a"] * 5000 + ["b" * 300_000], dtype=object), "longest has 300,000 bytes; accepted: at most"),
    ],
)
def test_unusable_texts_are_refused(x: Any, message: str) -> None:
    """In a line."""
    with pytest.raises(InputError, match=message):
        datasets.split(Raw(x, np.zeros(len(x), int)), seed=0)


def test_texts_are_held_in_memory(tmp_path: Path) -> None:
    """Also those of files that are mapped because NumPy's text takes four bytes a character."""
    np.savez(tmp_path / "texts.npz", x_train=TEXTS.astype(str), y_train=LABELS)
    raw = datasets.load(str(tmp_path / "texts.npz"), limit=0)
    assert isinstance(raw.x_train, np.ndarray)
    assert [text.decode() for text in raw.x_train] == TEXTS.tolist()
    streamed = tf.data.Dataset.from_tensor_slices((TEXTS.astype(str), LABELS))
    with pytest.raises(InputError, match="may be too large for memory: received texts; accepted: texts with a larger"):
        split(datasets.read_returned(streamed, "data", 0), seed=0)


@pytest.mark.parametrize("sets", ["tensors.batch(7)", "tensors", "(texts, labels)"])
def test_functions_give_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sets: str) -> None:
    """As arrays or data sets."""
    monkeypatch.chdir(tmp_path)
    Path("own_texts.py").write_text(
        "import numpy as np\nimport tensorflow as tf\ntexts = [f'number {n}' for n in range(20)]\n"
        "labels = np.arange(20) % 2\ntensors = tf.data.Dataset.from_tensor_slices((texts, labels))\n"
        f"def load(): return {sets}, {sets}\n"
    )
    try:
        raw = datasets.load("own_texts:load")
    finally:
        sys.modules.pop("own_texts", None)
    assert [text.decode() for text in raw.x_train] == [f"number {n}" for n in range(20)]


@pytest.mark.parametrize("build", [bare, adapted])
def test_networks_learn_from_texts(build: Callable[[], keras.Model], tmp_path: Path) -> None:
    """The same numbers again, and the model that is stored takes texts as users have them."""
    splits = split(Raw(TEXTS, LABELS), seed=0)
    ours = executor(build, splits)
    training = trained(ours)
    assert training.test is not None
    assert training.test["accuracy"] > 0.9
    np.testing.assert_array_equal(training.losses, trained(executor(build, splits)).losses)
    lr_pipeline_model.save(tmp_path, ours.served(training), VALUES)
    answers = lr_pipeline_model.load(tmp_path).predict(datasets.example(splits.x_test, 100))
    assert np.mean(answers.argmax(axis=1) == splits.y_test) == pytest.approx(training.test["accuracy"])


def test_a_missing_vocabulary_is_learnt_from_the_training_set() -> None:
    """Alone; and the user is told."""
    splits = split(Raw(TEXTS, LABELS), seed=0)
    ours = executor(bare, splits)
    known = set(ours.served(trained(ours)).layers[-1].layers[0].get_vocabulary()[2:])
    assert known == {word.decode() for text in splits.x_train for word in text.split()}
    assert "came without vocabulary, and learnt it from the training set" in " ".join(ours.remarks)


@pytest.mark.parametrize("build", [Subclassed, lambda: classifier(layers.Reshape((1,)), vectorization())])
def test_a_layer_that_may_get_other_texts_needs_a_vocabulary(build: Callable[[], keras.Model]) -> None:
    """What it gets is not known."""
    with pytest.raises(InputError, match="without vocabulary; accepted: one that was given it, or has learnt it by ad"):
        trained(executor(build, split(Raw(TEXTS, LABELS), seed=0)))


def test_texts_beside_numbers_and_codes() -> None:
    """Each is treated by itself."""
    rng = np.random.default_rng(0)
    given = {"text": TEXTS, "size": rng.normal(5, 2, (120, 2)), "shop": rng.integers(0, 9, (120, 1))}
    layer = vectorization()
    layer.adapt(TEXTS)

    def build() -> keras.Model:
        text, shop = keras.Input((), name="text", dtype="string"), keras.Input((1,), name="shop")
        size, average = keras.Input((2,), name="size"), layers.GlobalAveragePooling1D()
        read, place = average(layers.Embedding(200, 4)(layer(text))), layers.Flatten()(layers.Embedding(9, 2)(shop))
        joined = layers.Concatenate()([read, size, place])
        return keras.Model({"text": text, "size": size, "shop": shop}, layers.Dense(2)(joined))

    ours = executor(build, split(Raw(given, LABELS), seed=0))
    assert described(ours.scaling) == [
        "text: texts, passed on as they are",
        "size: standardised feature by feature",
        "shop: codes for the network, passed on as they are",
    ]
    assert trained(ours).final("val_loss") is not None


def test_copies_know_the_same_words() -> None:
    """Keras copies no vocabulary that was learnt."""
    model = adapted()
    copy = copying(model)()
    np.testing.assert_array_equal(copy(tf.constant(TEXTS)), model(tf.constant(TEXTS)))


def test_find_takes_texts() -> None:
    """With the user's own compiled model."""
    model = adapted()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    given: dict[str, Any] = {"schemes": "linear", "confirm_seeds": 2, "progress": False}
    answer = find(model, (TEXTS, LABELS), epochs=1, trials=1, top_k=1, batch_size=24, **given)
    assert answer.winner.optimizer == "adam"


def test_built_in_networks_refuse_texts() -> None:
    """They would fail in the middle of Keras."""
    with pytest.raises(InputError, match="model: received 'mlp' for texts, expected a module:function"):
        builder("mlp", (), 2, "classification", texts={""})
