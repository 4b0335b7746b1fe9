"""`python -m ilo_jax.app`: serves the page."""

import argparse
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from ilo_jax.app import arguments
from ilo_jax.app.cli import begin_process, start_quickly
from ilo_jax.app.demo import SAMPLES
from ilo_jax.app.groups import add_generator
from ilo_jax.app.help import Parser
from ilo_jax.app.prior import load_prior
from ilo_jax.errors import InputError
from ilo_jax.files.find import find_images
from ilo_jax.files.generators import EMBEDDED_DEFAULT
from ilo_jax.files.images import encode_png, to_pillow
from ilo_jax.priors import Prior
from ilo_jax.solve import sample

if TYPE_CHECKING:
    from ilo_jax.app.page.blocks import Page

LARGEST_UPLOAD = "32mb"

_DRAWN = 6


def run() -> None:
    """The process: serves until it is interrupted, and exits."""
    begin_process()
    sys.exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 when it is ended, 2 of bad input."""
    args = make_parser().parse_args(argv)
    args.label = getattr(args, "label", None)
    try:
        with tempfile.TemporaryDirectory(prefix="ilo_jax_page_") as folder:
            _import_gradio(Path(folder))
            start_quickly()
            _serve(args, Path(folder))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before it serves
        pass
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Of `python -m ilo_jax.app`."""
    parser = Parser(
        prog="python -m ilo_jax.app",
        description="Serves a page on which an image is measured and reconstructed while you "
        "watch. Only this machine sees it, unless --host or --share says otherwise.",
    )
    add_generator(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where it is served; 0.0.0.0 for all who reach this machine (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=arguments.port, default=7860, metavar="N", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--share",
        action="store_true",
        help="a public address too, through Gradio's servers: everybody who knows it sees the page",
    )
    return parser


def _import_gradio(folder: Path) -> None:
    """With what it reads when it is imported: nothing is sent to, nor asked of other machines, and
    what visitors upload goes with the process."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
    try:
        import gradio  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            f"the page needs Gradio ({error}); pip install 'ilo_jax[app]', or from a clone "
            "pip install '.[app]'"
        ) from error


def _serve(args: argparse.Namespace, folder: Path) -> None:
    from ilo_jax.app.page.blocks import Page

    prior = load_prior(args.generator, args.label, 0)
    page = Page(prior, args.generator, args.label, _samples(prior, args.generator, folder), folder)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    served = launch(page, args.host, args.port, args.share)
    ended.wait()
    served.close(verbose=False)


def launch(page: "Page", host: str, port: int, share: bool) -> Any:
    """Begins to serve, says where, and goes on.

    Raises:
      InputError: the address cannot be had.
    """
    from gradio.themes import Soft  # pyright: ignore[reportMissingImports]

    from ilo_jax.app.page.blocks import QUEUE, build

    fonts = ("system-ui", "sans-serif")  # of the visitor's machine
    blocks = build(page).queue(max_size=QUEUE, api_open=False)
    try:
        _, local, public = blocks.launch(
            server_name=host,
            server_port=port,
            share=share,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=LARGEST_UPLOAD,
            enable_monitoring=False,
            ssr_mode=False,
            mcp_server=False,
            footer_links=[],
            theme=Soft(font=fonts, font_mono=("ui-monospace", "monospace")),
            css_paths=Path(__file__).parent / "page.css",
        )
    except OSError as error:
        raise InputError(f"--host {host}, --port {port}: {error}") from error
    print(f"the page: {local}" + (f" and {public}" if public else ""), flush=True)
    return blocks


def _samples(prior: Prior, generator: str, folder: Path) -> list[Path]:
    """The bundled images for their generator; of any other, images that it draws."""
    if generator == EMBEDDED_DEFAULT:
        return find_images([str(SAMPLES)])
    draw, paths = jax.jit(sample), []
    for i in range(_DRAWN):
        paths.append(folder / f"drawn_{i}.png")
        picture = to_pillow(jax.device_get(draw(prior, jax.random.key(i))))
        paths[-1].write_bytes(encode_png(picture))
    return paths
