"""What there is to say of network and data is said by the first stage of a command that trains."""

from pipeline.stages.asking import has_trained
from pipeline.tracking import StageRun, Store


def test_by_the_first_stage_of_a_chain_only(store: Store) -> None:
    """The others are its siblings; what was reused has said nothing to this user."""

    def child(parent: StageRun, stage: str, **tags: str) -> StageRun:
        with store.part_run(stage, parent, {"pipeline.stage": stage} | tags, {}) as run:
            said.append(has_trained(store, run))
        return run

    said: list[bool] = []
    with store.stage_run("main", "main", {}) as main:
        child(main, "prepare")
        child(main, "range_test", **{"pipeline.cached": "another"})
        search = child(main, "search")
        child(main, "train")
    child(search, "trial")
    assert said == [False, False, False, True, False]


def test_by_a_stage_alone_unless_it_ran_another_first(store: Store) -> None:
    """Which is then below it."""
    with store.stage_run("search", "search", {}) as search:
        assert not has_trained(store, search)
        with store.part_run("range_test", search, {"pipeline.stage": "range_test"}, {}) as run:
            assert not has_trained(store, run)
        assert has_trained(store, search)
