"""The one error for what a user can mend."""


class InputError(ValueError):
    """Bad input: one line that says what, where, and what was expected instead."""
