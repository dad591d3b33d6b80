"""Data sets that a program holds in memory: feature matrices, pixels, and torch data sets, with labels of any form."""

from nearbit.datasets.arrays.features import FeatureRows, feature_matrix
from nearbit.datasets.arrays.front import from_features, from_images, from_torch
from nearbit.datasets.arrays.pixels import pixel_array

__all__ = ["FeatureRows", "feature_matrix", "from_features", "from_images", "from_torch", "pixel_array"]
