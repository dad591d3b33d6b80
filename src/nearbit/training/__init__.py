"""Training: the public function `train` and its options."""

from nearbit.training.baseline import BaselineRun
from nearbit.training.options import TrainOptions
from nearbit.training.run import TrainingRun, plan, train

__all__ = ["BaselineRun", "TrainOptions", "TrainingRun", "plan", "train"]
