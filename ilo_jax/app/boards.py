"""`--tensorboard`: curves, metrics and images as TensorBoard shows them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from ilo_jax.files.images import to_uint8


class Boards:
    """An event file in a folder, beside those of runs that were interrupted."""

    def __init__(self, folder: Path):
        import tensorboardX  # pyright: ignore[reportMissingImports]

        self._writer = tensorboardX.SummaryWriter(str(folder))

    def __enter__(self) -> "Boards":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def add(
        self,
        name: str,
        image: np.ndarray,
        metrics: Mapping[str, float | None],
        steps: Sequence[int],
        curves: np.ndarray | None,
    ) -> None:
        """Writes an image `[H, W, C]` in [-1, 1], its metrics, and of its restarts loss and error,
        `[K, len(steps), 2]`, if there are any."""
        last = steps[-1] if steps else 0
        self._writer.add_image(f"image/{name}", to_uint8(image), last, dataformats="HWC")
        for metric, value in metrics.items():
            if value is not None:
                self._writer.add_scalar(f"{metric}/{name}", value, last)
        restarts = [] if curves is None else list(curves)
        for k, of_restart in enumerate(restarts):
            run = name if len(restarts) == 1 else f"{name}/{k + 1}"
            for step, (loss, error) in zip(steps, of_restart, strict=True):
                self._writer.add_scalar(f"loss/{run}", float(loss), step)
                self._writer.add_scalar(f"error/{run}", float(error), step)
        self._writer.flush()
