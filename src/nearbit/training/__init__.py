"""Training: the public function `train` and its options."""

from nearbit.training.callbacks import NO_CALLBACKS, Callbacks
from nearbit.training.distributed.processes import Processes, joined_processes
from nearbit.training.options import TrainOptions, hurried
from nearbit.training.run import AUTO, plan, train
from nearbit.training.runs.auto import AutoRun
from nearbit.training.runs.baseline import BaselineRun, unused_options, useful_options
from nearbit.training.runs.difference import differences
from nearbit.training.runs.final import AnyRun, FinalRun
from nearbit.training.runs.method_run import TrainingRun
from nearbit.training.runs.two_step import TwoStepRun

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
    "TwoStepRun",
    "differences",
    "hurried",
    "joined_processes",
    "plan",
    "train",
    "unused_options",
    "useful_options",
]
