"""What can go wrong in training that the user can mend.

TrainingError
├── DataError     a file, a line or a column is not what was asked for
└── TrainingStopped   the training itself went wrong: nothing to learn from, a loss of NaN

The message is one line: it names the thing, the value seen and the mend. Exit code 2 for data and options, else 1.
"""


class TrainingError(Exception):
    """One line for the user, without a traceback."""

    exit_code = 2


class DataError(TrainingError):
    """The data cannot be read as asked."""


class TrainingStopped(TrainingError):
    """Training cannot go on."""

    exit_code = 1
