"""The one error for what a user can mend."""


class InputError(ValueError):
    """Bad input: one line that says what, where, and what was expected instead."""


def one_line(error: object) -> str:
    """What an error of the system, or any other, says, in one line; empty if it says nothing."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())
