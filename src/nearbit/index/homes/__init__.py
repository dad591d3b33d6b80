"""The homes of an index: where its items lie. One contract, and whoever holds to it is searched like any other.

A home is added so:

1. A scheme: one line in `HOMES` (`registry.py`) with the module that opens it, the extra that it needs and the package
   that shows whether that is installed. `nb.open_index("SCHEME://…")`, `nb.create_index`, every command and the service
   take its addresses then, and name the extra where it is missing.
2. That module has `create(address, n_bits, *, model_id, outputs, exist_ok)`, `open_(address, *, model_id, read_only)`
   and `exists(address)` (`contract.Opener`). The first two return an open index that has all of `contract.Home`; what
   it cannot do it leaves out of `offers`, and refuses with an `InputError` that says so.
3. Arguments are checked by `nearbit.index.arguments` and `changes.NewItems`, filters of a search by
   `live.filters.compared`, so that every home takes and refuses the same, in the same words.
4. One entry in `HOMES` of `tests/index/homes/conftest.py`, which starts the engine: the contract tests run on it, and
   compare its answers with those of the embedded index, ties included.

`embedded` is the home of files, and the first of them.
"""

from nearbit.index.homes.address import Address, Place, place_of
from nearbit.index.homes.contract import Home
from nearbit.index.homes.registry import exists
from nearbit.index.offers import Offer

__all__ = ["Address", "Home", "Offer", "Place", "exists", "place_of"]
