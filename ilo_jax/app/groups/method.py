"""How it is solved."""

import argparse
from collections.abc import Callable
from typing import Any

from ilo_jax.app import arguments
from ilo_jax.files.generators import EMBEDDED_DEFAULT
from ilo_jax.solve import PRESETS, TERMS
from ilo_jax.solve.methods import Preset
from ilo_jax.solve.methods.numbers import join
from ilo_jax.stylegan2 import PRECISIONS


def add_generator(group: Any) -> None:
    """Which generator, and which of its classes."""
    group.add_argument(
        "--generator",
        default=EMBEDDED_DEFAULT,
        metavar="NAME_OR_DIR",
        help="a folder or .safetensors file written by convert_weights, or an embedded one "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--label",
        type=arguments.index,
        metavar="N",
        help="the class, from 0, of a class-conditional generator",
    )


def add_method(parser: argparse.ArgumentParser) -> None:
    """How it is solved."""
    methods = (f"{name}: {m.help}" for name, m in PRESETS.items())
    method = parser.add_argument_group("method", "; ".join(methods) + ".")
    add_generator(method)
    method.add_argument(
        "--method",
        choices=PRESETS,
        help="what is optimized, as docs/methods.md has it (default: ilo; ilo-mean where the task "
        "measures next to nothing and no cuts, radii or learning rates are given)",
    )
    method.add_argument(
        "--steps",
        type=arguments.steps,
        metavar="N,N,...",
        help="steps of each round"
        + _defaults(lambda m: ",".join(map(str, m.steps)))
        + "; ilo-range: of CSGM's, then of ball and projection in turns",
    )
    method.add_argument(
        "--cuts",
        type=arguments.numbered,
        metavar="L,L,...",
        help="first layer of G2 in each round of ilo, or each repetition of ilo-range; 0 is CSGM's "
        "round (default: blocks 0, 1, 2, ...; ilo-range: block 2)",
    )
    method.add_argument(
        "--lr",
        type=arguments.rates,
        metavar="X[,X...]",
        help="learning rate, one or one a round" + _defaults(lambda m: join(m.rate)),
    )
    method.add_argument(
        "--radii",
        type=arguments.radii,
        metavar="R[,R...]",
        help="l1 radius of the feature map, one or one for each round that cuts, inf for no limit "
        "(default: the generator's, or else inf"
        + "".join(f"; {name}: {m.radii:g}" for name, m in PRESETS.items() if m.radii is not None)
        + ")",
    )
    method.add_argument(
        "--weights",
        type=arguments.weight,
        nargs="+",
        metavar="TERM=X[,X...]",
        help=f"terms of the objective, each with one weight or one a round: {', '.join(TERMS)} "
        "(default: mse=1 geocross=0.001; pulse and projector have their own)",
    )
    method.add_argument(
        "--tolerance", type=arguments.rate, metavar="X", help="of the term dead_zone (default: 0.1)"
    )
    method.add_argument(
        "--sna",
        action=argparse.BooleanOptionalAction,
        help="Stochastic Noise Addition: generated images get noise like the measurement's "
        "(default: where that is Gaussian and not clipped; denoise clips)",
    )
    method.add_argument(
        "--batch-size",
        type=arguments.batch_size,
        metavar="N",
        help="images at a time on each device (of a CPU, each core), or auto: as many as fit into "
        "memory (default: by the size of the generator, 1 at 1024 px; at 64 px 32 over all cores "
        "of a CPU, 256 on an accelerator); halved when memory runs out",
    )
    method.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of the generator's features and convolutions; bfloat16 has half the bytes, for "
        "GPUs and TPUs, and gives other last digits (default: float32)",
    )
    # No default: one given before the task is kept.
    method.add_argument(
        "--seed",
        type=arguments.seed,
        help="of all that is random; same command, same bytes (default: 0)",
    )


def _defaults(of: Callable[[Preset], str]) -> str:
    """`(default: ...)`, with those methods behind it that differ from the first."""
    (_, first), *others = PRESETS.items()
    differ = [f"; {name}: {of(m)}" for name, m in others if of(m) != of(first)]
    return f" (default: {of(first)}{''.join(differ)})"
