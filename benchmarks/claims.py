"""What the paper's text claims of its figures, beside what the rows of `benchmarks.figures` say."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.classical import BASELINES
from benchmarks.methods import PANELS, Row, mse_of, psnr_of

GENERATIVE = ("CSGM", "CSGM, LPIPS", "CSGM, both", "PULSE")
"""The paper's baselines: it calls PULSE's optimization CSGM too."""

AUTO = "ILO, --auto"

RESAMPLES = 2000

DETERMINED = 1e-5
"""Of images in [-1, 1]: a smaller error is none, where the measurement determines the image."""


class Verdict(NamedTuple):
    """A row of the table, as text."""

    claim: str
    claimed: str
    measured: str
    against: str
    holds: str
    auto: str
    classical: str


@dataclasses.dataclass(frozen=True)
class Claim:
    """ILO's error is by a factor below the best of some baselines.

    Attributes:
      text: what is claimed, and where.
      factor: at least.
      classical: whether the best classical method is named beside.
    """

    text: str
    case: str
    factor: float
    baselines: tuple[str, ...] = GENERATIVE
    classical: bool = True


CLAIMS = (
    *(
        Claim(f"{case}: 5 to 100 % observed (Section 4.3)", case, 2.0)
        for case in list(PANELS["inpaint"])[1:]
    ),
    Claim("denoise 25 (Section 4.3)", "denoise 25", 1.8),
    Claim("superres 16x (Section 4.3)", "superres 16x", 1.65),
    Claim("superres 32x (Section 4.3)", "superres 32x", 1.4),
    Claim("compress 5 % (Section 4.3)", "compress 5 %", 2.0),
    *(
        Claim(
            f"inversion: 50 steps in each of four layers beat CSGM's {steps} (Running time)",
            "inpaint 100 %",
            1.0,
            (f"CSGM, {steps} steps",),
            classical=False,
        )
        for steps in (300, 1000)
    ),
)

SNA_GAINS = {"CSGM, both": 1.49, "ILO, both": 4.58}
"""In dB, Table 1."""


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Of every claim, those too whose cells are not measured yet."""
    return [
        *(_ratio(rows, claim) for claim in CLAIMS),
        *(_sna(rows, variant, gain) for variant, gain in SNA_GAINS.items()),
        _everywhere(
            rows,
            "ILO is best at every level but the very noisy ones (Figure 2)",
            ("ILO", *GENERATIVE),
            ("denoise 100", "denoise 256"),
        ),
        _everywhere(
            rows,
            "`--auto` is best at every level, classical methods included (not the paper's)",
            (AUTO, "ILO", *GENERATIVE, *BASELINES),
        ),
    ]


def best_of(rows: Sequence[Row], case: str, variants: Sequence[str]) -> str | None:
    """The variant with the least mean error in a case, over the images and seeds that all have that
    are measured; None where none is."""
    errors = {v: e for v in variants if (e := mse_of(rows, case, v))}
    if not errors:
        return None
    common = set.intersection(*({*e} for e in errors.values()))
    return min(errors, key=lambda v: sum(errors[v][k] for k in common))


def ratio(rows: Sequence[Row], case: str, over: str, under: str) -> tuple[float, float, float]:
    """Of mean errors, over the images and seeds that both have, and its 95 % interval by the
    bootstrap over them."""
    above, below = (mse_of(rows, case, v) for v in (over, under))
    common = sorted(above.keys() & below.keys())
    pairs = np.array([(above[k], below[k]) for k in common])
    draws = np.random.default_rng(0).integers(len(pairs), size=(RESAMPLES, len(pairs)))
    means = pairs[draws].mean(1)
    low, high = np.quantile(means[:, 0] / means[:, 1], (0.025, 0.975))
    return float(pairs[:, 0].mean() / pairs[:, 1].mean()), float(low), float(high)


def _ratio(rows: Sequence[Row], claim: Claim) -> Verdict:
    best = best_of(rows, claim.case, claim.baselines)
    claimed = f"{claim.factor:g}x"
    if best is None or best_of(rows, claim.case, ("ILO",)) is None:
        return Verdict(claim.text, claimed, "", "", "not measured", "", "")
    measured, low, high = ratio(rows, claim.case, best, "ILO")
    beside = ""
    classical = best_of(rows, claim.case, tuple(BASELINES)) if claim.classical else None
    if classical is not None:
        beside = f"{classical}, {ratio(rows, claim.case, classical, 'ILO')[0]:.2f}x"
    shown = f"{measured:.2f}x ({low:.2f} to {high:.2f})"
    holds = _holds(measured, claim.factor, 1)
    chosen = ""
    if errors := list(mse_of(rows, claim.case, AUTO).values()):
        over = ratio(rows, claim.case, best, AUTO)[0]
        chosen = "exact" if np.mean(errors) < DETERMINED else f"{over:.2f}x"
    return Verdict(claim.text, claimed, shown, best, holds, chosen, beside)


def _sna(rows: Sequence[Row], variant: str, claimed: float) -> Verdict:
    text = f"SNA, {variant}: gain at sigma 30 (Table 1)"
    psnr = [
        found.mean()
        for sna in ("without", "with")
        if (found := psnr_of(rows, "denoise 30", f"{variant}, {sna} SNA")).size
    ]
    if len(psnr) < 2:
        return Verdict(text, f"{claimed} dB", "", "", "not measured", "", "")
    gain = psnr[1] - psnr[0]
    holds = _holds(gain, claimed, 0)
    return Verdict(text, f"{claimed} dB", f"{gain:+.2f} dB", "without SNA", holds, "", "")


def _everywhere(
    rows: Sequence[Row], text: str, variants: Sequence[str], but: Sequence[str] = ()
) -> Verdict:
    """That the first variant has the least error, on every level of Figure 2 that is measured."""
    mine, *_ = variants
    best = {
        case: found
        for panel in PANELS.values()
        for case in panel
        if mse_of(rows, case, mine) and (found := best_of(rows, case, variants))
    }
    if not best:
        return Verdict(text, "all", "", "", "not measured", "", "")
    lost = {
        case: variant
        for case, variant in best.items()
        if variant != mine and np.mean(list(mse_of(rows, case, mine).values())) > DETERMINED
    }
    holds = "yes" if set(lost) <= {*but} else "no"
    shown = f"{len(best) - len(lost)} of {len(best)}"
    if lost:
        shown += f"; not {', '.join(f'{case} ({variant})' for case, variant in lost.items())}"
    return Verdict(text, "all", shown, "all of them", holds, "", "")


def _holds(measured: float, claimed: float, even: float) -> str:
    if measured >= claimed:
        return "yes"
    return "better, by less" if measured > even else "no"


def markdown(found: Sequence[Verdict]) -> str:
    """The table."""
    header = (
        "claim",
        "claimed",
        "measured here",
        "against",
        "holds",
        "the same of `--auto`",
        "best classical method, its error over ILO's",
    )
    lines = [header, ("---",) * len(header), *found]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
