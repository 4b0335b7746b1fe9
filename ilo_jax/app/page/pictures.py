"""What the page shows of a search: pictures with captions, a table, and a file to take home."""

import base64
import html
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import ilo_jax
from ilo_jax.app.page.choices import RESTARTS, command
from ilo_jax.app.page.search import Look, Problem
from ilo_jax.app.results import WHITE_SPREAD
from ilo_jax.app.samples import ERROR_SCALE, error_map
from ilo_jax.files.images import encode_png, to_pillow


def figures(pictures: Mapping[str, tuple[np.ndarray | None, str]], kind: str = "grid") -> str:
    """HTML of pictures `[H, W, C]` with captions, by title; an empty frame where one is to come.

    Args:
      kind: of the arrangement: `grid`, `strip` or `one`.
    """
    found = []
    for title, (image, caption) in pictures.items():
        frame = '<div class="empty"></div>' if image is None else _element(image, title)
        words = f"<b>{html.escape(title)}</b> {html.escape(caption)}"
        found.append(f"<figure>{frame}<figcaption>{words}</figcaption></figure>")
    return f'<div class="pictures {kind}">{"".join(found)}</div>'


def shown(problem: Problem, look: Look | None, classical: np.ndarray | None) -> str:
    """Everything that is known so far."""
    truth = problem.sample.truth
    assert truth is not None
    found = {} if classical is None else {problem.classical: classical}
    found |= {} if look is None else {"CSGM": look.csgm, "ILO": look.ilo}
    scores = {name: problem.score(image) for name, image in found.items()}

    def caption(name: str) -> str:
        return f"{scores[name][0].psnr_db:.2f} dB" if name in scores else ""

    ilo = found.get("ILO")
    grid = {
        "truth": (truth, ""),
        "measurement": (problem.picture, ""),
        **{m: (found.get(m), caption(m)) for m in (problem.classical, "CSGM", "ILO")},
        "ILO's error": (
            None if ilo is None else error_map(truth, ilo).image,
            f"times {ERROR_SCALE}",
        ),
        "uncertainty": (
            None if look is None else _spread(look.spread),
            f"spread of {RESTARTS} restarts, white is {WHITE_SPREAD / 2:.1%}",
        ),
    }
    ends = () if look is None else look.ends
    strip = {f"round {i + 1}": (image, "") for i, image in enumerate(ends)}
    rounds = f"<h4>ILO, round by round</h4>{figures(strip, 'strip')}" if strip else ""
    return figures(grid) + rounds + _table(scores)


def settings_of(problem: Problem) -> dict[str, str]:
    """As the command line takes them, beside the task's."""
    settings = problem.run.settings
    steps = ",".join(map(str, settings.steps or ()))
    label = {} if settings.label is None else {"label": str(settings.label)}
    found = {"generator": settings.generator} | label
    return found | {"steps": steps, "samples": str(RESTARTS)}


def archive(problem: Problem, look: Look, classical: np.ndarray) -> bytes:
    """A zip of all pictures, of what made them, and of the command that makes them again."""
    sample, settings = problem.sample, problem.run.settings
    assert sample.truth is not None
    pictures = {
        "truth": sample.truth,
        "measurement": problem.picture,
        "csgm": look.csgm,
        "ilo": look.ilo,
        problem.classical.replace(" ", "_"): classical,
        "uncertainty": _spread(look.spread),
    }
    options, files = dict(settings.options), dict[str, bytes]()
    if "mask" in options:
        files["mask.png"] = Path(options["mask"]).read_bytes()
        options["mask"] = "mask.png"
    about = {
        "task": settings.task,
        "options": options,
        "settings": settings_of(problem),
        "scores": {
            name: problem.score(image)[0]._asdict()
            for name, image in (
                (problem.classical, classical),
                ("CSGM", look.csgm),
                ("ILO", look.ilo),
            )
        },
        "command": command(settings.task, options, settings_of(problem), sample.file.name),
        "notice": problem.run.prior.facts.notice,
        "ilo_jax": ilo_jax.__version__,
        "jax": jax.__version__,
    }
    files |= {f"{name}.png": encode_png(to_pillow(image)) for name, image in pictures.items()}
    files["about.json"] = json.dumps(about, indent=2).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return file.getvalue()


def listed(lines: Sequence[str]) -> str:
    """HTML of warnings; none of none."""
    return "".join(f'<p class="doubt" role="alert">{html.escape(line)}</p>' for line in lines)


def _table(scores: Mapping[str, Any]) -> str:
    if not scores:
        return ""
    rows = [
        f"<tr><td>{name}</td><td>{of_image.psnr_db:.2f}</td>"
        f"<td>{'' if of_image.ssim is None else f'{of_image.ssim:.3f}'}</td>"
        f"<td>{error:.2e}</td></tr>"
        for name, (of_image, error) in scores.items()
    ]
    head = "".join(f"<th>{name}</th>" for name in ("", "PSNR, dB", "SSIM", "measurement error"))
    return f'<table class="scores"><thead><tr>{head}</tr></thead>{"".join(rows)}</table>'


def _spread(spread: np.ndarray) -> np.ndarray:
    """To look at: black is none, white `WHITE_SPREAD` and more."""
    return np.minimum(spread.mean(-1, keepdims=True) / WHITE_SPREAD, 1) * 2 - 1


def _element(image: np.ndarray, title: str) -> str:
    data = base64.b64encode(encode_png(to_pillow(image))).decode()
    return f'<img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'
