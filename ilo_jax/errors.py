"""The errors for what a user can mend."""


class InputError(ValueError):
    """Bad input: one line that says what, where, and what was expected instead."""


class CheckpointError(InputError):
    """A checkpoint that cannot be used; the message says which, why, and what to do."""


def one_line(error: object) -> str:
    """What an error of the system, or any other, says, in one line, which is cut where it is long;
    empty if it says nothing."""
    said = " ".join(str(getattr(error, "strerror", None) or error).split())
    return said if len(said) <= _MOST else f"{said[:_MOST]}..."


_MOST = 300  # letters: some errors quote a file's bytes
