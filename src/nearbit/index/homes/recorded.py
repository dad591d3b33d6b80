"""What is recorded of an index, against what its opener asked for: length, model, outputs."""

from collections.abc import Mapping

from nearbit.errors import IndexFileError
from nearbit.index.homes.address import Address, Place
from nearbit.index.live.snapshot import PADDED


def check_same(address: Address, found: Mapping[str, str], new: Mapping[str, str], *, exist_ok: bool) -> None:
    """Raise `IndexFileError` where an index that is there is not the one that was to be made."""
    if not exist_ok:
        raise IndexFileError(f"{address} exists already; open_index opens an index, or name another one (?index=NAME)")
    if found["n_bits"] != new["n_bits"]:
        raise IndexFileError(
            f"{address} holds codes of {found['n_bits']} bits, not {new['n_bits']}; name another index (?index=NAME)"
        )
    check_model(address, found, new.get("model_id"))
    if "outputs" in new and found.get("outputs") != new["outputs"]:
        raise IndexFileError(
            f"{address} keeps {found.get('outputs', 'no')} outputs, not {new['outputs']}; leave outputs out or name "
            "another index"
        )


def check_model(address: Place, facts: Mapping[str, str], model_id: str | None) -> None:
    """Raise `IndexFileError` where the index is of another model than the one named; None takes it as it is."""
    if model_id is None or facts.get("model_id") == model_id:
        return
    recorded = f"records the model {facts['model_id']!r}" if "model_id" in facts else "records no model"
    raise IndexFileError(
        f"{address} {recorded}, not {model_id!r}: codes of different models cannot be compared; "
        "use the model of the index, or build an index with this one"
    )


def room(k: int | None, n_items: int) -> int | None:
    """Return `k`, or the number of items where `k` is beyond it and `PADDED`: no room for what cannot come."""
    return k if k is None or k <= PADDED else min(k, max(1, n_items))
