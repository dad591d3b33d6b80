"""What the demo tells: its chapters, each with its data, methods, lengths and options."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nearbit.datasets import Dataset, from_features
from nearbit.datasets.splits.sizes import Size
from nearbit.training import TrainOptions


def images_themselves(images: Dataset) -> Dataset:
    """Return the images: what a network is trained on."""
    return images


def gray_values(images: Dataset) -> Dataset:
    """Return a data set of features: the gray values of each image, 0 to 255, row by row; the images have one size."""
    pixels = [np.asarray(images.source.read(row).convert("L"), np.float32) for row in range(len(images))]
    features = np.stack(pixels).reshape(len(pixels), -1)
    labels = [images.label_names(row) for row in range(len(images))]
    return from_features(features, labels, classes=images.classes, keys=images.keys, name=images.name)


@dataclass(frozen=True, kw_only=True)
class Story:
    """One chapter of the demo.

    Attributes:
        name: what its files in the folder begin with.
        dataset: the images.
        title, words: what the page says above its figures.
        over_seeds: what seeds 0, 1 and 2 showed together; see docs/results.md.
        seconds: CPU time of a training by method, roughly: the first estimate of the time that is left.
        options: of the training; the seed is the demo's.
        shown: the method whose searches are pictured.
        bits: the code lengths; None for those asked for.
        learnt_from: what becomes of the images before: themselves, or features.
        sizes: of the parts of the split; None for the usual ones.
    """

    name: str
    dataset: str
    title: str
    words: str
    seconds: Mapping[str, float]
    options: TrainOptions
    shown: str
    over_seeds: str = ""
    bits: tuple[int, ...] | None = None
    learnt_from: Callable[[Dataset], Dataset] = images_themselves
    sizes: Mapping[str, Size] | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods, in order."""
        return tuple(self.seconds)


STORIES = (
    Story(
        name="digits-few",
        dataset="digits",
        title="A few images a class",
        words="Ten labelled images of each digit to learn from, and no network below: the features are the 64 gray "
        "values of the scan as they are. This is where methods differ. Beside the codes stands what the features give "
        "without any: a ranking by their cosine, and one by the answers of a linear probe (ridge regression of the "
        "labels on the same ten images a class), both in floats.",
        seconds={"csq": 3, "crh": 4, "shc": 5, "ech": 8},
        options=TrainOptions(head="hidden", device="cpu", epochs=240, validate_every=20),
        shown="ech",
        over_seeds="Over seeds 0, 1 and 2 ECH came first each time, twice by no more than .004; every method was above "
        "the float cosine, and asymmetric search gained for all. The linear probe was passed by three methods, by all "
        "four, and by none; CSQ and SHC changed places, and CRH was last twice.",
        bits=(16,),
        learnt_from=gray_values,
        sizes={"train": 10, "validation": 5, "query": 20, "database": "rest"},
    ),
    Story(
        name="digits",
        dataset="digits",
        title="Handwritten digits, all of them",
        words="1,797 real scans of 8×8 pixels, one label each; most are learnt from, by a small network that sees the "
        "pixels. The codes of a class gather around its center, so many items share one code: see the column of "
        "distinct codes.",
        seconds={"crh": 5, "csq": 5},
        options=TrainOptions(
            image_size=16, device="cpu", epochs=12, learning_rate=3e-3, batch_size=64, validate_every=3
        ),
        shown="crh",
    ),
    Story(
        name="shapes",
        dataset="shapes",
        title="Colored shapes",
        words="2,400 drawn images with one to three labels each, of 12 kinds in 4 families. Two images are relevant to "
        "each other if they share a kind; color, size and place are there to distract.",
        seconds={"crh": 30},
        options=TrainOptions(
            image_size=32, device="cpu", epochs=24, learning_rate=3e-3, batch_size=64, validate_every=6
        ),
        shown="crh",
        bits=(32,),
    ),
)
