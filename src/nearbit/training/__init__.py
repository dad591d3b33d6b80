"""Training: the public function `train` and its options."""

from nearbit.training.baseline import BaselineRun, unused_options
from nearbit.training.difference import differences
from nearbit.training.options import TrainOptions
from nearbit.training.processes import Processes, joined_processes
from nearbit.training.run import TrainingRun, plan, train
from nearbit.training.watch import UNWATCHED, Watch

__all__ = [
    "UNWATCHED",
    "BaselineRun",
    "Processes",
    "TrainOptions",
    "TrainingRun",
    "Watch",
    "differences",
    "joined_processes",
    "plan",
    "train",
    "unused_options",
]
