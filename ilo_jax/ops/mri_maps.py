"""Sensitivities of coils from the data themselves."""

import numpy as np

from ilo_jax.errors import InputError

_LEAST = 2  # samples on each side of the middle
_MOST = 16


def estimate_maps(k_space: np.ndarray) -> np.ndarray:
    """Sensitivities from the middle of k-space (McKenzie et al., 2002): `s_k = l_k / |l|`, of
    images `l_k` of low resolution, `|l|` the root of the sum of their squares.

    The image's own phase, as far as it is smooth, is in them: what remains is real, as a
    generator's images are. The middle is the largest block around zero frequency that is sampled,
    33 x 33 at most, and is windowed (Hann). The more of it there is, the better the maps.

    Args:
      k_space: complex `[K, H, W]`, of K coils, zero frequency at `[H // 2, W // 2]`, 0 where it is
        not sampled.

    Returns:
      complex64 `[K, H, W, 1]`, `sum_k |s_k|^2 = 1`, for `masked_mri` and `--maps`.

    Raises:
      InputError: another shape, values that are no finite complex numbers, or fewer than 5 x 5
        samples in the middle.
    """
    y = np.asarray(k_space)
    if y.ndim != 3 or not np.iscomplexobj(y) or not np.isfinite(y).all():
        raise InputError(
            f"k_space {y.dtype}{list(y.shape)}: expected finite complex numbers [coils, H, W]"
        )
    sampled = (y != 0).any(0)
    half = _block(sampled)
    if min(half) < _LEAST:
        found = " x ".join(str(max(2 * m + 1, 0)) for m in half)
        raise InputError(
            f"k_space: {found} samples in the middle; expected at least {2 * _LEAST + 1} x "
            f"{2 * _LEAST + 1}, all of them sampled"
        )
    weight = np.zeros(sampled.shape)
    weight[_middle(sampled.shape, half)] = np.outer(*(np.hanning(2 * m + 3)[1:-1] for m in half))
    axes = (-2, -1)
    low = np.fft.ifft2(np.fft.ifftshift(y * weight, axes), axes=axes)
    low = np.fft.fftshift(low, axes)
    norm = np.sqrt(np.sum(np.abs(low) ** 2, 0))
    return (low / np.maximum(norm, np.finfo(float).tiny))[..., None].astype(np.complex64)


def _middle(shape: tuple[int, ...], half: tuple[int, int]) -> tuple[slice, slice]:
    rows, columns = (slice(n // 2 - m, n // 2 + m + 1) for n, m in zip(shape, half, strict=True))
    return rows, columns


def _block(sampled: np.ndarray) -> tuple[int, int]:
    """Half the height and width of a block in the middle that is sampled: the largest square, and
    from there as wide and as high as it goes; -1 where not even the middle is."""
    most = tuple(min(_MOST, (n - 1) // 2) for n in sampled.shape)

    def whole(half: tuple[int, int]) -> bool:
        fits = all(m <= n for m, n in zip(half, most, strict=True))
        return fits and bool(sampled[_middle(sampled.shape, half)].all())

    m = -1
    while whole((m + 1, m + 1)):
        m += 1
    half = (m, m)
    if m >= 0:
        while whole((half[0], half[1] + 1)):
            half = (half[0], half[1] + 1)
        while whole((half[0] + 1, half[1])):
            half = (half[0] + 1, half[1])
    return half
