"""What a call may be told: unknown options that suggest the near one, and where randomness comes from."""

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

from nearbit.errors import InputError, did_you_mean
from nearbit.given import check_number

Called = TypeVar("Called", bound=Callable[..., Any])


def suggesting(called: Called) -> Called:
    """Let a function or a dataclass answer an unknown option by an `InputError` that names the near one.

    Example:
        >>> @suggesting
        ... def bake(*, minutes: int = 30) -> int:
        ...     return minutes
        >>> bake(minuts=5)
        Traceback (most recent call last):
        nearbit.errors.InputError: bake has no option 'minuts'. Did you mean 'minutes'?
    """
    if isinstance(called, type):
        called.__init__ = _checked(called.__init__, called.__name__, skip=1)  # type: ignore[misc]
        return called
    return cast(Called, _checked(called, called.__name__, skip=0))


def _checked(function: Any, name: str, skip: int) -> Any:
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return function
    known = frozenset(one.name for one in parameters)
    refuse = functools.partial(_refuse, name, tuple(one.name for one in parameters if one.name != "self"))

    def checked(*given: Any, **options: Any) -> Any:
        if not known.issuperset(options):
            refuse(options)
        return function(*given, **options)

    # with the function's own globals, so that whoever looks for its home (doctest) finds it
    own = FunctionType(checked.__code__, function.__globals__, function.__name__, None, checked.__closure__)
    return functools.wraps(function)(own)


def _refuse(name: str, known: tuple[str, ...], options: dict[str, Any]) -> None:
    unknown = next(option for option in options if option not in known)
    hint = did_you_mean(unknown, known) or f" It takes {', '.join(known)}"
    raise InputError(f"{name} has no option {unknown!r}.{hint}")


def generator_of(rng: Any, seed: Any, *, needed: bool) -> Any:
    """Return the source of randomness that was given, as `rng` or as a `seed`; None where none is needed.

    Raises:
        InputError: both, neither where one is needed, or something else than a generator or a whole number.
    """
    import numpy as np

    if rng is not None and seed is not None:
        raise InputError("give rng or seed, not both")
    if rng is not None:
        if not isinstance(rng, np.random.Generator):
            hint = f": for a number give seed={rng!r}" if isinstance(rng, int) else ""
            raise InputError(f"rng must be a numpy Generator (np.random.default_rng(0)), not {rng!r:.60}{hint}")
        return rng
    if seed is None:
        if needed:
            raise InputError("give a source of randomness: seed=0, or rng=np.random.default_rng(0)")
        return None
    return np.random.default_rng(check_number("seed", seed, whole=True))
