"""`--prior-image`: an earlier image of the same subject, inverted once."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ilo_jax import solve
from ilo_jax.app.programs import kept_steps
from ilo_jax.app.run import Run
from ilo_jax.errors import InputError
from ilo_jax.files.images import read_exact
from ilo_jax.ops import Identity
from ilo_jax.solve import Variables

_INVERSION = 2**31 - 1
"""Folded into the seed's key, so that an inversion does not depend on what it is used for."""


class Inversions:
    """The variables of earlier images, by ILO; the last one is kept for the next file.

    Attributes:
      run: whose earlier images they are.
    """

    def __init__(self, run: Run):
        self.run = run
        self._last: tuple[Path, Variables] | None = None

    def of(self, file: Path) -> Variables:
        """Of the earlier image of an image file.

        Raises:
          InputError: it cannot be read, has another size than the generator's images, or the
            generator does not give it back.
        """
        path = self.run.earlier_file(file)
        assert path is not None
        if self._last is None or self._last[0] != path:
            self._last = path, self._invert(path)
        return self._last[1]

    def _invert(self, path: Path) -> Variables:
        prior = self.run.prior
        image, _, _ = read_exact(path, prior.image_shape)
        key = jax.random.fold_in(jax.random.key(self.run.settings.seed), _INVERSION)
        operator, method = Identity(prior.image_shape), solve.ilo(prior)
        found = solve.reconstruct(
            prior, operator, jnp.asarray(image)[None], key, method, take_steps=kept_steps
        )
        # Half of what is in the image, where a mean grey would leave all of it.
        if not float(found.error[0]) <= 0.5 * float(np.var(image)):
            raise InputError(
                f"{path}: does not fit the generator, which gives it back with "
                f"{10 * np.log10(4 / float(found.error[0])):.1f} dB; expected an image of its kind"
            )
        return jax.tree.map(lambda leaf: leaf[0], found.x)
