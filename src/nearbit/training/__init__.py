"""Training: the public function `train` and its options."""

from nearbit.training.baseline import BaselineRun, unused_options
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks
from nearbit.training.difference import differences
from nearbit.training.distributed.processes import Processes, joined_processes
from nearbit.training.options import TrainOptions
from nearbit.training.run import TrainingRun, plan, train

__all__ = [
    "NO_CALLBACKS",
    "BaselineRun",
    "Callbacks",
    "Processes",
    "TrainOptions",
    "TrainingRun",
    "differences",
    "joined_processes",
    "plan",
    "train",
    "unused_options",
]
