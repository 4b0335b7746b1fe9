"""What only single runs have: references, restarts, variables, video, ways to be looked at."""

import argparse

from ilo_jax.app import arguments
from ilo_jax.app.animation import FORMATS
from ilo_jax.solve import COMBINE, EFFORTS


def add_endings(parser: argparse.ArgumentParser) -> None:
    """References, restarts, variables, video."""
    method = parser.add_argument_group("restarts and references")
    method.add_argument(
        "--reference",
        metavar="PATH",
        help="image, or folder of images of the same names, for the term reference",
    )
    method.add_argument(
        "--auto",
        nargs="?",
        choices=EFFORTS,
        const="full",
        default=None,
        metavar="{quick,sharp}",
        help="choose start, depth, radii, learning rate and steps for each image by a part of its "
        "measurement that is held out; the result is the mean of restarts, in all ten times a "
        "plain run, or with quick three times; sharp minds LPIPS instead of squared error",
    )
    method.add_argument(
        "--samples",
        type=arguments.positive,
        default=1,
        metavar="K",
        help="restarts of each image: their mean is the result, their spread is drawn beside it "
        "(default: %(default)s)",
    )
    method.add_argument(
        "--combine",
        choices=COMBINE,
        default="mean",
        help="the result of several restarts: their mean, which has the least squared error, or "
        "the one that is nearest to it, which is sharp and has the better LPIPS (default: "
        "%(default)s)",
    )
    method.add_argument(
        "--keep-samples",
        action="store_true",
        default=False,
        help="keep each restart's image, in OUT/samples/NAME",
    )
    method.add_argument(
        "--consistent",
        action="store_true",
        default=False,
        help="end with the nearest image of the same measurement, as far as its noise allows, for "
        "linear tasks whose noise is Gaussian or rounding",
    )
    method.add_argument(
        "--reproducible",
        action="store_true",
        default=False,
        help="solve each image by itself, on one device, so that its bytes do not depend on which "
        "others there are, on their order, or on the number of devices; at 64 px this takes twice "
        "the time on two cores, and far more on an accelerator",
    )
    method.add_argument(
        "--prior-image",
        metavar="PATH",
        help="an earlier image of the same subject, or a folder of images of the same names: its "
        "codes are kept but for what may change, in balls around them",
    )
    method.add_argument(
        "--prior-layers",
        type=arguments.two_layers,
        metavar="A,B",
        help="first and last layer that may change (default: all)",
    )
    method.add_argument(
        "--prior-radii",
        type=arguments.two_radii,
        metavar="R,R",
        help="l1 radii of latents and each noise map around the earlier image's (default: 20,5); "
        "of feature maps --radii",
    )
    video = parser.add_argument_group("variables and video")
    video.add_argument(
        "--save-variables",
        action="store_true",
        default=False,
        help="keep what was optimized, in OUT/variables",
    )
    video.add_argument(
        "--start",
        metavar="DIR",
        help="start from the variables of the same images in the results of another run",
    )
    video.add_argument(
        "--video",
        action="store_true",
        default=False,
        help="the images are frames in order, or those of one GIF or MP4: each starts from the "
        "last one's variables, at the last cut, and stays near them",
    )
    video.add_argument(
        "--frame-steps", type=arguments.positive, metavar="N", help="of later frames (default: 100)"
    )
    video.add_argument(
        "--frame-radii",
        type=arguments.three_radii,
        metavar="R,R,R",
        help="of later frames: l1 radii of feature map, latents, and each noise map "
        "(default: 200,200,5)",
    )


def add_watching(parser: argparse.ArgumentParser) -> None:
    """How a run is looked at, while it goes on and afterwards."""
    group = parser.add_argument_group("to look at")
    group.add_argument(
        "--animate",
        nargs="?",
        choices=FORMATS,
        const=FORMATS[0],
        default=None,
        metavar="|".join(FORMATS),
        help="how each image comes to be, every ten steps, in OUT/animations (default: %(const)s)",
    )
    group.add_argument(
        "--lpips",
        action="store_true",
        default=False,
        help="LPIPS by VGG among the metrics",
    )
    group.add_argument(
        "--tensorboard",
        action="store_true",
        default=False,
        help="curves, metrics and images in OUT/tensorboard, as they come",
    )
