"""Proxy-Anchor as a hash method: proxies are learnt beside the network, and their signs are the centers."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from proxy_anchor_loss import proxy_anchor_loss
from torch import Tensor, nn

from nearbit.centers import CenterState, Generator, random_signs
from nearbit.methods.method import LossModule, Method, Schedule, Targets, Task, check_number


@dataclass(frozen=True, kw_only=True)
class ProxyAnchorOptions:
    """Options of Proxy-Anchor; the paper's.

    Attributes:
        scale: factor of the cosines.
        margin: by which a cosine has to be above or below 0.
        proxy_rate: the learning rate of the proxies, relative to the head's.
    """

    scale: float = 32.0
    margin: float = 0.1
    proxy_rate: float = 100.0

    def __post_init__(self) -> None:
        check_number("scale", self.scale)
        check_number("margin", self.margin)
        check_number("proxy_rate", self.proxy_rate)


class Proxies(LossModule):
    """One proxy a class; it trains with the loss, and no model holds it."""

    def __init__(self, task: Task, options: ProxyAnchorOptions) -> None:
        super().__init__()
        self.rate_factor = options.proxy_rate
        self.rows = nn.Parameter(torch.randn(task.n_classes, task.n_bits))


def _start(task: Task, options: ProxyAnchorOptions, rng: Generator) -> CenterState:
    words = random_signs((task.n_classes, task.n_bits), rng)  # the signs of the proxies take their place at once
    return CenterState(centers=words, tie_break=random_signs((task.n_bits,), rng))


def _signs(proxies: LossModule, state: CenterState) -> CenterState:
    assert isinstance(proxies, Proxies)  # noqa: S101 - the method makes them
    return replace(state, centers=np.where(proxies.rows.detach().cpu().numpy() >= 0, 1, -1).astype(np.int8))


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: ProxyAnchorOptions) -> Tensor:
    assert isinstance(targets.module, Proxies)  # noqa: S101 - the method makes them
    return proxy_anchor_loss(outputs, labels, targets.module.rows, scale=options.scale, margin=options.margin)


PROXY_ANCHOR = Method(
    name="proxy-anchor",
    title="Proxy-Anchor: learnt proxies whose signs are the centers",
    citation="Kim et al., Proxy Anchor Loss for Deep Metric Learning, CVPR 2020",
    options=ProxyAnchorOptions(),
    make_centers=_start,
    module=Proxies,
    centers_of=_signs,
    loss=_loss,
    schedules={
        "frozen": Schedule(epochs=40, batch_size=256, learning_rate=1e-3),
        "fine-tuned": Schedule(epochs=60, batch_size=64, learning_rate=1e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
