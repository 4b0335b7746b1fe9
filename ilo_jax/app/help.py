"""What the parser says: help in two depths, typos with what was meant, the version."""

import argparse
import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

COMMON = frozenset(
    (
        *("help", "help_all", "images", "out", "measured", "generator", "method", "steps"),
        *("auto", "samples", "seed", "grid", "restarts"),
    )
)
"""By where they are kept: the options that most people use, beside those of the task."""


def _formatter(prog: str) -> argparse.HelpFormatter:
    from rich_argparse import RichHelpFormatter  # where help is shown only

    class Formatter(RichHelpFormatter):
        text_markup = help_markup = False
        group_name_formatter = str

    return Formatter(prog)


class Parser(argparse.ArgumentParser):
    """Bad usage is one line, exit code 2, and says which word was probably meant.

    Attributes:
      own: where options are kept that short help shows beside `COMMON`; None: it shows all.
    """

    own: frozenset[str] | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, formatter_class=_formatter)

    def shorten(self, own: Sequence[str]) -> None:
        """Short help shows `COMMON` and these; `--help-all` all."""
        self.own = frozenset(own)
        self.add_argument("--help-all", action=_HelpAll, help="show all options")

    def format_help(self) -> str:
        if self.own is None:
            return super().format_help()
        with self._hidden(COMMON | self.own) as count:
            more = f"--help-all shows {count} more options"
            self.epilog, before = "; ".join(filter(None, (self.epilog, more))), self.epilog
            try:
                return super().format_help()
            finally:
                self.epilog = before

    def format_all(self) -> str:
        """Help that leaves nothing out."""
        return super().format_help()

    @contextlib.contextmanager
    def _hidden(self, shown: frozenset[str]) -> Iterator[int]:
        """Without the options that are kept elsewhere; how many these are."""
        hidden = [a for a in self._actions if a.dest not in shown]
        texts = [(a, a.help) for a in hidden]
        descriptions = [(g, g.description) for g in self._action_groups]
        for action in hidden:
            action.help = argparse.SUPPRESS
        for group in self._action_groups:
            group.description = None
        try:
            yield len(hidden)
        finally:
            for action, text in texts:
                action.help = text
            for group, text in descriptions:
                group.description = text

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        if self._subparsers is None and args is not None:  # all of them are its own
            for word in args:
                self._check_name(word.partition("=")[0])
        return super().parse_known_args(args, namespace)

    def _check_name(self, name: str) -> None:
        """An option that is not there is told before any other that is missing."""
        names = self._option_string_actions
        if not re.fullmatch(r"--[a-z][\w-]*", name) or any(n.startswith(name) for n in names):
            return
        self.error(f"no option {name}{meant(name, names)}")

    def error(self, message: str) -> NoReturn:
        choice = re.match(r"argument (\S+): invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice is not None:
            names = re.findall(r"[\w-]+", choice[3])
            which = f"no {choice[1].lstrip('-').lower()} {choice[2]!r}"
            message = f"{which}{meant(choice[2], names) or '; expected ' + ', '.join(names)}"
        self.exit(2, f"{self.prog}: {message} (--help shows the usage)\n")


class _HelpAll(argparse.Action):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options | {"nargs": 0, "default": argparse.SUPPRESS})

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        assert isinstance(parser, Parser)
        print(parser.format_all(), end="")
        parser.exit()


class Completion(argparse.Action):
    """Prints a script that completes the command in a shell."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        import shtab  # for this only

        parser.prog = "ilo-jax"
        print(shtab.complete(parser, shell=values))
        parser.exit()


def meant(word: str, names: Iterable[str]) -> str:
    """The nearest of the names, as the end of a message; nothing where none is near."""
    near = difflib.get_close_matches(word.lower(), [*names], 1, 0.7)
    return f"; did you mean {near[0]}?" if near else ""
