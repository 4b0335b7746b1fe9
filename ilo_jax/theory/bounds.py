"""How many measurements suffice, and how good the reconstruction is then: Section 3 as formulas.

Theorem 1 is about `G = G2 o G1`, `G1: R^k -> R^p` being L1-Lipschitz and `G2: R^p -> R^n`
L2-Lipschitz; about latents in an l2 ball of radius r1, and codes `z^p` within an l1 ball of radius
r2 around the range of G1. `delta` is a distance between images, gamma is S-REC's, and K sets r2.

The paper gives numbers of measurements as orders, `m = Omega(...)`. The constant that this hides
is unknown and has to be given: with the default `constant=1.0` the values can be compared with
each other and say how they grow; they are not numbers of measurements to plan with.

Every function raises `InputError` for an argument out of its domain.
"""

import math
from typing import NamedTuple

from ilo_jax.errors import InputError


def deviation_radius(L2: float, delta: float, K: float) -> float:
    """Radius of the l1 ball in Theorem 1: `r2 = K delta / L2`."""
    _positive(L2=L2, delta=delta, K=K)
    return K * delta / L2


def ilo_measurements(
    k: int,
    p: int,
    L1: float,
    L2: float,
    r1: float,
    delta: float,
    gamma: float,
    K: float,
    constant: float = 1.0,
) -> float:
    """Measurements for ILO, i.i.d. Gaussian matrices (Theorem 1, equation 5):
    `(k log(L1 L2 r1 / delta) + K^2 log p) / (1 - gamma)^2`."""
    _check_k(K, p)
    entropy = _range_entropy(k, L1 * L2, r1, delta) + K**2 * math.log(p)
    return _measurements(entropy, gamma, constant)


def circulant_measurements(
    k: int,
    p: int,
    n: int,
    L1: float,
    L2: float,
    r1: float,
    delta: float,
    gamma: float,
    K: float,
    constant: float = 1.0,
) -> float:
    """The same for randomly signed partial circulant matrices (Lemma 1): `log^4 n` times more."""
    _positive(n=n)
    return ilo_measurements(k, p, L1, L2, r1, delta, gamma, K, constant) * math.log(n) ** 4


def csgm_measurements(
    k: int, L: float, r1: float, delta: float, gamma: float, constant: float = 1.0
) -> float:
    """Measurements for CSGM on an L-Lipschitz generator (Bora et al., 2017, as in Section 3.1):
    `k log(L r1 / delta) / (1 - gamma)^2`."""
    return _measurements(_range_entropy(k, L, r1, delta), gamma, constant)


def csgm_intermediate_measurements(
    k: int,
    p: int,
    L1: float,
    L2: float,
    r1: float,
    r2: float,
    delta: float,
    gamma: float,
    constant: float = 1.0,
) -> float:
    """Measurements for CSGM applied to the intermediate layer (Remark 2):
    `(k log(L1 L2 r1 / delta) + p log(L2 r2 / delta)) / (1 - gamma)^2`.

    The remark leaves `(1 - gamma)^2` in the constant; here it is written out as in equation 5, so
    that both compare. With Theorem 1's r2 the last logarithm is log K.
    """
    entropy = _range_entropy(k, L1 * L2, r1, delta) + _range_entropy(p, L2, r2, delta)
    return _measurements(entropy, gamma, constant)


def additive_error(p: int, delta: float, gamma: float, K: float) -> float:
    """What Theorem 1 adds to the error, whatever the image:
    `delta log(4 K) / gamma * sqrt(p) / K * log(sqrt(p) / K)`; also S-REC's delta in Lemma 1.

    As printed it vanishes at `K = sqrt(p)`, where Remark 2 has `O(delta)`: a constant is hidden
    here too.
    """
    _check_k(K, p)
    _check_gamma(gamma)
    _positive(delta=delta)
    ratio = math.sqrt(p) / K
    return delta * math.log(4 * K) / gamma * ratio * math.log(ratio)


def ilo_error(best: float, p: int, delta: float, gamma: float, K: float) -> float:
    """Bound of `|x - G2(z~^p)|`, the error of the measurements' optimum (equation 6).

    Args:
      best: `|x - G2(zbar^p)|`, the least error in the extended range.
    """
    if not 0 <= best < math.inf:
        raise InputError(f"best {best}: expected an error, 0 or more")
    return additive_error(p, delta, gamma, K) + (1 + 4 / gamma) * best


def failure_probability(m: float, gamma: float, constant: float = 1.0) -> float:
    """Probability that the bound of Theorem 1 fails for the matrix drawn, at most:
    `exp(-(1 - gamma)^2 m)`."""
    _check_gamma(gamma)
    _positive(m=m, constant=constant)
    return math.exp(-constant * (1 - gamma) ** 2 * m)


class Scaling(NamedTuple):
    """Theorem 1's free parameters."""

    delta: float
    K: float


def scaling(k: int, p: int) -> Scaling:
    """Remark 3's choice, `delta = 1 / sqrt(p)` and `K = sqrt(k)`: measurements of CSGM's order,
    and an error that does not grow with p but for logarithms. It needs `k <= p`."""
    _positive(k=k, p=p)
    _check_k(math.sqrt(k), p)
    return Scaling(1 / math.sqrt(p), math.sqrt(k))


def _measurements(entropy: float, gamma: float, constant: float) -> float:
    _check_gamma(gamma)
    _positive(constant=constant)
    return constant * entropy / (1 - gamma) ** 2


def _range_entropy(dimension: int, lipschitz: float, radius: float, delta: float) -> float:
    """Logarithm of the size of a net: images delta apart, of a ball in so many dimensions."""
    _positive(dimension=dimension, lipschitz=lipschitz, radius=radius, delta=delta)
    ratio = lipschitz * radius / delta
    if ratio < 1:
        raise InputError(f"L r / delta {ratio:.3g}: expected at least 1, else one image covers all")
    return dimension * math.log(ratio)


def _check_k(K: float, p: int) -> None:
    _positive(p=p)
    if not 0.25 < K <= math.sqrt(p):
        raise InputError(f"K {K}: expected 1/4 < K <= sqrt(p), {math.sqrt(p):.4g}")


def _check_gamma(gamma: float) -> None:
    if not 0 < gamma < 1:
        raise InputError(f"gamma {gamma}: expected 0 < gamma < 1")


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise InputError(f"{name} {value}: expected a positive number")
