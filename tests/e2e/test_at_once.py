"""Two searches at once on one store, with their range tests: each is right, and nothing is trained twice."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.project import PATIENCE, Project, command

pytestmark = pytest.mark.slow


def test_two_searches_at_once_share_their_trainings(tmp_path: Path) -> None:
    """Both come to the same answer, and show the same trainings, each of which was made once."""
    project = Project.copied_to(tmp_path)
    project.here("prepare")
    process = project.start(*command("search", refine="off"))
    while not list(tmp_path.glob(".lr-pipeline/*/claims/*")):
        assert process.poll() is None
        time.sleep(0.02)
    here = project.here("search", refine="off")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    for said in (err, here.stderr):
        assert "Traceback" not in said
        assert "locked" not in said
    for said in (out, here.stdout):
        assert "another command trains the same" in said
    searches, trials = project.runs("search"), project.runs("trial", status="FINISHED")
    made = Counter(run.data.tags["pipeline.fingerprint"] for run in trials if "pipeline.cached" not in run.data.tags)
    assert set(made.values()) == {1}
    shown = [
        {run.data.tags["pipeline.fingerprint"] for run in project.runs("trial", search.info.run_id)}
        for search in searches
    ]
    results = [json.loads((project.artifacts(search) / "result.json").read_text("utf-8")) for search in searches]
    assert shown[0] == shown[1] <= set(made)
    assert results[0]["leaderboard"] == results[1]["leaderboard"]
    assert project.statuses() == {"FINISHED"}
