"""`python -m pipeline STAGE --option value`, or `lr-pipeline` where the package is installed."""

import os
import signal
import sys
from typing import NoReturn

# While this is being loaded, Ctrl-C ends it without a traceback; in a background job it stays ignored.
if (__name__ == "__main__" or sys.argv[0].endswith("/lr-pipeline")) and (
    signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# Set before TensorFlow and MLflow are first imported, here and in every process started from here: their
# notices, which are normal on a CPU, would bury the command's own output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # once a run, password included

# `python -m` puts the working directory first, where a user's `keras.py` would replace the installed package.
if __name__ == "__main__" and not sys.flags.safe_path:
    sys.path.append(sys.path.pop(0))

from pipeline.cli import main
from pipeline.containment import end


def command() -> NoReturn:
    """Run the command that the arguments name, and end this process with its exit code."""
    end(main())


if __name__ == "__main__":
    command()
