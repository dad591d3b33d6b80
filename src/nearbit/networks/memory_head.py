"""The head of LTHNet: features, and what a memory of the classes says of them, together before the last layer."""

import torch
from torch import Tensor, nn

from nearbit.errors import InputError
from nearbit.networks.diverse_rows import diverse_rows
from nearbit.networks.head_kinds import HeadSizes, head_kind, last_layers
from nearbit.networks.heads import Head

MOST_ROWS = 2**20
"""The most rows of a memory; a model folder that asks for more is refused before anything is built."""


class ClassMemory(nn.Module):
    """What classes are like, looked up by attention: d becomes d + tanh(S d + s) · (softmax(A d + a) M).

    Attributes:
        rows: float `(n_rows, width)`: M, the means of the classes, then the prototypes of each class.
    """

    rows: Tensor

    def __init__(self, width: int, n_rows: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(n_rows, width))
        self.attention = nn.Linear(width, n_rows)
        self.selector = nn.Linear(width, width)

    def forward(self, direct: Tensor) -> Tensor:
        """Map direct features `(n, width)` to `(n, width)`."""
        remembered = self.attention(direct).softmax(dim=1) @ self.rows
        meta: Tensor = direct + self.selector(direct).tanh() * remembered
        return meta


@head_kind("memory")
def _memory_head(sizes: HeadSizes) -> nn.Sequential:
    rows = sizes.own.get("rows")
    if set(sizes.own) != {"rows"} or type(rows) is not int or not 1 <= rows <= MOST_ROWS:
        raise InputError(f"a head with a memory is made with rows, from 1 to {MOST_ROWS}, not {dict(sizes.own)!r:.200}")
    direct = nn.Sequential(
        nn.Linear(sizes.feature_dim, sizes.hidden, bias=False), nn.BatchNorm1d(sizes.hidden), nn.ReLU()
    )
    memory = ClassMemory(sizes.hidden, rows)
    return nn.Sequential(direct, nn.Dropout(sizes.dropout), memory, *last_layers(sizes.hidden, sizes))


def refresh_memory(head: Head, features: Tensor, labels: Tensor) -> None:
    """Let a head of the kind "memory" remember training images as they look to it now.

    A row is the mean of the direct features of a class, an image of several classes counting for each by its share; the
    rows beyond one a class are prototypes, the same number for each, chosen from its images by `diverse_rows`.

    Args:
        head: in evaluation mode.
        features: float `(n, feature_dim)` of the training images.
        labels: float `(n, n_classes)`, 0 or 1; each class has an image.
    """
    direct, memory = head.layers[0], head.layers[2]
    assert isinstance(memory, ClassMemory)  # noqa: S101 - the kind of head says so
    values = direct(head.standardized(features))
    shares = labels / labels.sum(dim=1, keepdim=True)
    means = (shares.T @ values) / shares.sum(dim=0)[:, None]
    n_classes = labels.shape[1]
    each = len(memory.rows) // n_classes - 1
    chosen = [diverse_rows(values[labels[:, number] > 0], means[number], each) for number in range(n_classes)]
    memory.rows.copy_(torch.cat([means, *chosen]))
