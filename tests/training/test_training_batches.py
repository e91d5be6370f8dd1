"""The order of the examples."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.training.feed import BatchOrder

SIZES = {"examples": st.integers(1, 40), "batch_size": st.integers(1, 50), "seed": st.integers(0, 2**31 - 1)}


def taken(order: BatchOrder, seed: int, start: int, stop: int) -> list[NDArray[np.int32]]:
    """Return batches of updates `start` to `stop`."""
    indices, ends = order.indices(seed, start, stop)
    assert indices.dtype == ends.dtype == np.int32
    return [indices[first:last] for first, last in pairwise(ends)]


class TestBatchOrder:
    @given(**SIZES, epochs=st.integers(1, 4))
    def test_every_epoch_shows_every_example_once(self, examples: int, batch_size: int, seed: int, epochs: int) -> None:
        """Full batches and at most a short last one, each epoch a permutation."""
        order = BatchOrder(examples, batch_size)
        per_epoch = order.steps_per_epoch
        batches = taken(order, seed, 0, epochs * per_epoch)
        for epoch in range(epochs):
            part = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
            assert sorted(np.concatenate(part)) == list(range(examples))
            assert [len(batch) for batch in part[:-1]] == [batch_size] * (per_epoch - 1)
            assert 0 < len(part[-1]) <= batch_size

    @given(**SIZES, data=st.data())
    def test_a_window_is_cut_from_the_whole(
        self, examples: int, batch_size: int, seed: int, data: st.DataObject
    ) -> None:
        """Updates asked for from anywhere, across epochs too, are those of asking from the start."""
        order = BatchOrder(examples, batch_size)
        stop = data.draw(st.integers(1, 3 * order.steps_per_epoch))
        start = data.draw(st.integers(0, stop - 1))
        whole = taken(order, seed, 0, stop)
        window = taken(order, seed, start, stop)
        assert [batch.tolist() for batch in window] == [batch.tolist() for batch in whole[start:]]
        assert order.examples(stop) == sum(len(batch) for batch in whole)

    def test_epochs_and_seeds_have_orders_of_their_own(self) -> None:
        """No two of them agree, nor does one agree with the data's order."""
        order = BatchOrder(100, 100)
        orders = [taken(order, seed, epoch, epoch + 1)[0] for seed in range(3) for epoch in range(3)]
        assert len({one.tobytes() for one in [*orders, np.arange(100, dtype=np.int32)]}) == 10

    @given(examples=st.integers(1, 40), sizes=st.tuples(st.integers(1, 50), st.integers(1, 50)))
    def test_other_batch_sizes_see_the_same_order(self, examples: int, sizes: tuple[int, int]) -> None:
        """So that trainings with the same seed are paired across batch sizes."""
        one, other = (BatchOrder(examples, size) for size in sizes)
        first, second = (np.concatenate(taken(order, 7, 0, 2 * order.steps_per_epoch)) for order in (one, other))
        assert first.tolist() == second.tolist()
