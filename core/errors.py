"""The failures a user can cause, each with what happened, why, and what to do."""


class SftError(Exception):
    """A failure with a message for the user: three sentences, no traceback.

    Args:
        what: What failed, as one sentence without a full stop ("the data file is empty").
        why: The cause, as found.
        remedy: What the user can do next.
    """

    exit_code = 1

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(what, why, remedy)
        self.what = what
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


class UsageError(SftError):
    """Bad usage or configuration: the command line exits with 2."""

    exit_code = 2


class DataError(SftError):
    """The training data cannot be read or cannot be trained on."""


class RowRefused(DataError):
    """A template cannot hold a row; `id` names the kind of problem."""

    def __init__(self, what: str, why: str, remedy: str, id: str = "template_fails") -> None:
        super().__init__(what, why, remedy)
        self.id = id


class RunBusy(SftError):
    """Another trainer holds the run directory."""


class DiskFull(SftError):
    """No space left where the run writes."""
