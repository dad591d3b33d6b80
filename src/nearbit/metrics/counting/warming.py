"""Small comparisons that call every kernel of the metrics once for each form of its arguments."""

from collections.abc import Iterator


def warm() -> Iterator[None]:
    """Call all kernels; compile or load one at each step."""
    from nearbit.metrics.counting import kernels  # noqa: F401

    yield
