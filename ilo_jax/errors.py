"""The errors for what a user can mend."""


class InputError(ValueError):
    """Bad input: one line that says what, where, and what was expected instead."""


class CheckpointError(InputError):
    """A checkpoint that cannot be used; the message says which, why, and what to do."""


def one_line(error: object) -> str:
    """What an error of the system, or any other, says, in one line, which is cut where it is long;
    empty if it says nothing. Of a quoted traceback, as JAX has it of callbacks, its end."""
    lines = str(getattr(error, "strerror", None) or error).splitlines()
    quoted = [i for i, line in enumerate(lines) if line.startswith('  File "')]
    if quoted:
        lines = [line for line in lines[quoted[-1] + 1 :] if not line.startswith("    ")]
    said = " ".join(" ".join(lines).split())
    return said if len(said) <= _MOST else f"{said[:_MOST]}..."


_MOST = 300  # letters: some errors quote a file's bytes
