"""Training: the public function `train` and its options."""

from nearbit.training.auto import AutoRun
from nearbit.training.baseline import BaselineRun, unused_options, useful_options
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks
from nearbit.training.difference import differences
from nearbit.training.distributed.processes import Processes, joined_processes
from nearbit.training.final import FinalRun
from nearbit.training.method_run import TrainingRun
from nearbit.training.options import TrainOptions
from nearbit.training.run import AUTO, AnyRun, plan, train

__all__ = [
    "AUTO",
    "NO_CALLBACKS",
    "AnyRun",
    "AutoRun",
    "BaselineRun",
    "Callbacks",
    "FinalRun",
    "Processes",
    "TrainOptions",
    "TrainingRun",
    "differences",
    "joined_processes",
    "plan",
    "train",
    "unused_options",
    "useful_options",
]
