"""With `deterministic=true`, the number of threads changes nothing, to the last bit."""

import json
from pathlib import Path

from tests.e2e.project import Project, command


def test_any_number_of_threads_gives_the_same_bytes(tmp_path: Path) -> None:
    """Convolutions on one thread and on two differ otherwise; the option wins over variables of TensorFlow's."""
    project = Project.copied_to(tmp_path)
    given = {"model": "cnn", "epochs": 1, "seeds": 1, "scheme": "cosine", "initial_lr": 0.03, "deterministic": "true"}
    left = []
    for threads in ("1", "2"):
        variables = {"OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
        project.run(*command("train", **given, fresh="true"), variables=variables)
        training = project.artifacts(project.runs("train", status="FINISHED")[-1])
        result = json.loads((training / "result.json").read_text(encoding="utf-8"))
        del result["seconds"]
        left.append([result, *((training / name).read_bytes() for name in ("lr_curve.csv", "weights.npz"))])
    assert left[0] == left[1]
