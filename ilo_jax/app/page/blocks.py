"""The page in Gradio: what a visitor clicks, and what happens then."""

import dataclasses
import html
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr  # pyright: ignore[reportMissingImports]
import numpy as np
from PIL import Image

from ilo_jax.app.page.choices import EFFORTS, KINDS, PAINTED, Chosen, command
from ilo_jax.app.page.pictures import archive, figures, listed, settings_of, shown
from ilo_jax.app.page.search import CHUNK, Look, classical, doubts, measure, rounds_of, search
from ilo_jax.errors import InputError
from ilo_jax.files.images import read_image, to_uint8
from ilo_jax.priors import Prior

CANVAS = 512
"""Side of what is painted on, in pixels."""

QUEUE = 20
"""Visitors that may wait; one is served at a time."""


@dataclasses.dataclass(frozen=True)
class Page:
    """What all visitors share.

    Attributes:
      prior, generator, label: as `run.load_prior` has them.
      samples: image files to begin with.
      folder: where files of visitors may be written.
    """

    prior: Prior
    generator: str
    label: int | None
    samples: Sequence[Path]
    folder: Path

    def look_at(self, file: str) -> tuple[str, str, Any]:
        """Of an image file: its path, itself to look at, and as a canvas with a mask to begin with.

        Raises:
          gr.Error: it cannot be read.
        """
        try:
            image, note = read_image(file, self.prior.image_shape)
        except InputError as error:
            raise gr.Error(_without_folder(error, file), duration=None) from error
        return file, figures({"image": (image, note or "")}, "one"), canvas(image)

    def reconstruct(
        self, file: str, kind: str, amount: str | None, painted: dict[str, Any] | None, effort: str
    ) -> Iterator[tuple[Any, ...]]:
        """Status, pictures, command and download, again and again while it is searched."""
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            if kind == PAINTED:
                amount = self._mask(painted, Path(folder))
            chosen = Chosen(kind, amount or KINDS[kind].usual, EFFORTS[effort])
            none = gr.update(value=None, interactive=False)
            yield _status("Measuring …"), _empty(), "", none
            try:
                problem = measure(self.prior, self.generator, self.label, Path(file), chosen)
            except InputError as error:
                raise gr.Error(_without_folder(error, file), duration=None) from error
            words = command(
                problem.run.settings.task,
                {k: "mask.png" if k == "mask" else v for k, v in chosen.options.items()},
                settings_of(problem),
                Path(file).name,
            )
            notes = problem.notes
            waiting = "Compiling: half a minute or so, where this kind was never asked for before …"
            yield _status(waiting, notes), shown(problem, None, None), words, gr.skip()
            smooth, look, first = None, None, 0.0
            for look in search(problem):
                if smooth is None:
                    smooth, first = classical(problem), time.perf_counter()
                pictures = shown(problem, look, smooth)
                yield _status(_told(look, first), notes), pictures, words, gr.skip()
            assert look is not None
            assert smooth is not None
            path = Path(folder) / "ilo_jax.zip"
            path.write_bytes(archive(problem, look, smooth))
            yield (
                _status(
                    f"Done in {time.perf_counter() - began:.0f} s.",
                    [*notes, *doubts(problem, look)],
                ),
                shown(problem, look, smooth),
                words,
                gr.update(value=str(path), interactive=True),
            )

    def _mask(self, painted: dict[str, Any] | None, folder: Path) -> str:
        """A file of what is not painted over: white."""
        layers = [] if painted is None else painted["layers"]
        side = self.prior.image_shape[0]
        seen = np.ones((side, side), bool)
        for layer in layers:
            ink = Image.fromarray(layer[..., 3]).resize((side, side), Image.Resampling.BOX)
            seen &= np.asarray(ink) < 128
        if seen.all():
            raise gr.Error("Nothing is painted: paint over what is to be filled in.", duration=None)
        if not seen.any():
            raise gr.Error("All is painted: leave something to be seen.", duration=None)
        path = folder / "mask.png"
        Image.fromarray(np.uint8(255) * seen).save(path)
        return str(path)


def canvas(image: np.ndarray) -> Any:
    """An image to paint on, with a stroke over its middle."""
    pixels = to_uint8(image)
    picture = Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy())
    picture = picture.resize((CANVAS, CANVAS), Image.Resampling.NEAREST)
    stroke = np.zeros((CANVAS, CANVAS, 4), np.uint8)
    stroke[CANVAS * 3 // 8 : CANVAS * 5 // 8, CANVAS * 3 // 8 : CANVAS * 5 // 8] = (
        225,
        29,
        72,
        255,
    )
    rgba = np.dstack([np.asarray(picture), np.full((CANVAS, CANVAS), 255, np.uint8)])
    return {"background": rgba, "layers": [stroke], "composite": None}


def build(page: Page) -> gr.Blocks:
    """The page; `command.serve` launches it."""
    facts, side = page.prior.facts, page.prior.image_shape[0]
    first = page.look_at(str(page.samples[0]))
    with gr.Blocks(
        title="ilo_jax", analytics_enabled=False, delete_cache=(3600, 3600), fill_width=False
    ) as blocks:
        gr.Markdown(
            "# Intermediate Layer Optimization\n"
            "An image is measured, most of it is lost, and a generator fills in what fits the "
            "measurement. What the generator has never seen it cannot restore: a prior invents "
            "plausible detail."
        )
        if facts.notice:
            gr.HTML(f'<p class="notice">{html.escape(facts.notice)}</p>')
        file = gr.State(first[0])
        with gr.Row():
            with gr.Column(scale=4, min_width=340):
                gr.Markdown("### 1  An image")
                samples = gr.Gallery(
                    [str(path) for path in page.samples],
                    columns=8,
                    height=130,
                    allow_preview=False,
                    show_label=False,
                    buttons=[],
                    interactive=False,
                    elem_id="samples",
                )
                upload = gr.UploadButton(
                    "Upload one of your own", file_types=["image"], size="sm", elem_id="upload"
                )
                gr.Markdown("### 2  What is measured of it\nPaint over what is missing, or choose.")
                kind = gr.Radio(
                    list(KINDS), value=PAINTED, show_label=False, container=False, elem_id="kind"
                )
                amount = gr.Radio([], visible=False, label="how much", elem_id="amount")
                painted = gr.ImageEditor(
                    first[2],
                    show_label=False,
                    sources=(),
                    transforms=(),
                    brush=gr.Brush(default_size=48, colors=["#e11d48"], color_mode="fixed"),
                    eraser=gr.Eraser(default_size=48),
                    layers=False,
                    canvas_size=(CANVAS, CANVAS),
                    fixed_canvas=True,
                    buttons=[],
                    elem_id="painted",
                )
                plain = gr.HTML(first[1], visible=False, apply_default_css=False)
                gr.Markdown("### 3  The search")
                effort = gr.Radio(
                    [
                        (f"{n} ({rounds_of(page.prior)} x {steps} steps)", n)
                        for n, steps in EFFORTS.items()
                    ],
                    value=next(iter(EFFORTS)),
                    show_label=False,
                    container=False,
                )
                with gr.Row():
                    go = gr.Button("Reconstruct", variant="primary", elem_id="go")
                    stop = gr.Button("Stop", elem_id="stop")
            with gr.Column(scale=7, min_width=420):
                status = gr.HTML(_status("Choose, and press Reconstruct."), elem_id="status")
                pictures = gr.HTML(_empty(), elem_id="pictures", apply_default_css=False)
                words = gr.Code(
                    "",
                    label="the same on the command line",
                    language="shell",
                    lines=1,
                    max_lines=3,
                    wrap_lines=True,
                    interactive=False,
                    show_line_numbers=False,
                    elem_id="command",
                )
                download = gr.DownloadButton(
                    "Download all of it", interactive=False, elem_id="download"
                )

        def picked(event: gr.SelectData) -> tuple[str, str, dict[str, Any]]:
            return page.look_at(str(page.samples[event.index]))

        def amounts(kind: str) -> tuple[Any, ...]:
            possible = KINDS[kind].possible(side)
            usual = (
                KINDS[kind].usual if KINDS[kind].usual in possible else next(iter(possible), None)
            )
            return (
                gr.update(choices=possible, value=usual, visible=bool(possible)),
                gr.update(visible=kind == PAINTED),
                gr.update(visible=kind != PAINTED),
            )

        image = [file, plain, painted]
        samples.select(picked, None, image, show_progress="hidden")
        upload.upload(page.look_at, upload, image, show_progress="hidden")
        kind.change(amounts, kind, [amount, painted, plain], show_progress="hidden")
        running = go.click(
            page.reconstruct,
            [file, kind, amount, painted, effort],
            [status, pictures, words, download],
            concurrency_limit=1,
            show_progress="minimal",
            show_progress_on=status,
        )
        stop.click(lambda: _status("Stopped."), None, status, cancels=[running], queue=False)
    return blocks


def _told(look: Look, first: float) -> str:
    """Where a search is; of the time that is left only once its programs are compiled."""
    where = f"Round {look.round} of {look.rounds}, step {look.step} of {look.steps}"
    if look.step < 2 * CHUNK:
        return where
    of_step = (time.perf_counter() - first) / (look.step - CHUNK)
    return f"{where}, about {of_step * (look.steps - look.step):.0f} s left"


def _status(text: str, lines: Sequence[str] = ()) -> str:
    return f'<div class="status" role="status">{html.escape(text)}</div>{listed(lines)}'


def _empty() -> str:
    titles = ("truth", "measurement", "classical", "CSGM", "ILO", "ILO's error", "uncertainty")
    return figures(dict.fromkeys(titles, (None, "")))


def _without_folder(error: InputError, file: str) -> str:
    """What a visitor is told names no folders of the server."""
    return str(error).replace(f"{Path(file).parent}/", "")
