"""Data sets and splits: images as people have them, read safely, and divided so that evaluation is honest."""

from nearbit.datasets.arrays import FeatureRows, from_features, from_images, from_torch
from nearbit.datasets.dataset import PARTS, Dataset, Problem, write_problems
from nearbit.datasets.decoding.decode import image_format, open_image
from nearbit.datasets.decoding.pixel_limit import MAX_PIXELS
from nearbit.datasets.images import ArrayImages, FileImages, ImageSource, content_digest
from nearbit.datasets.load import BUILT_IN, load_dataset, load_images
from nearbit.datasets.splits.make import make_split, other_protocol
from nearbit.datasets.splits.protocols import PROTOCOLS, Protocol
from nearbit.datasets.splits.sizes import SplitSizes
from nearbit.datasets.splits.split import Overlap, Shared, Split, find_overlap, load_split
from nearbit.datasets.splits.unseen import seen_only
from nearbit.reading import ReadingOptions

__all__ = [
    "BUILT_IN",
    "MAX_PIXELS",
    "PARTS",
    "PROTOCOLS",
    "ArrayImages",
    "Dataset",
    "FeatureRows",
    "FileImages",
    "ImageSource",
    "Overlap",
    "Problem",
    "Protocol",
    "ReadingOptions",
    "Shared",
    "Split",
    "SplitSizes",
    "content_digest",
    "find_overlap",
    "from_features",
    "from_images",
    "from_torch",
    "image_format",
    "load_dataset",
    "load_images",
    "load_split",
    "make_split",
    "open_image",
    "other_protocol",
    "seen_only",
    "write_problems",
]
