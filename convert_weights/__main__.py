"""`python -m convert_weights SOURCE OUT`."""

from collections.abc import Sequence

from convert_weights.stopping import exit_when_stopped, leave, stoppable


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0 all done, 1 the preview failed, 2 bad input,
    130 interrupted, 143 terminated."""
    from convert_weights.command import run  # takes a second, in which it may be stopped, too

    return stoppable(lambda: run(arguments))


def console() -> None:
    """The process: runs the command and exits."""
    exit_when_stopped()
    leave(main())


if __name__ == "__main__":
    console()
