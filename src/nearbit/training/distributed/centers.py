"""Centers that are the same in all processes."""

import torch

from nearbit.centers import CenterState
from nearbit.training.distributed.processes import Processes


def broadcast_centers(state: CenterState, processes: Processes) -> CenterState:
    """Return the main process's centers, so that no process differs from it by a rounding."""
    if not processes.several:
        return state
    shared = {name: processes.broadcast(torch.from_numpy(array.copy())) for name, array in state.arrays().items()}
    return CenterState(**{name: tensor.numpy() for name, tensor in shared.items()})
