"""Methods by name. A new method is one value in a file of its own and one line here, or in a package of its own.

A package declares it as an entry point of the group `nearbit.methods`, under the name of the method.
"""

from importlib.metadata import EntryPoint, entry_points

from nearbit.errors import InputError, did_you_mean
from nearbit.methods.baseline import Baseline, Fitted
from nearbit.methods.classwise.classifier import CLASSIFIER
from nearbit.methods.classwise.dcwh import DCWH, DCWHOptions
from nearbit.methods.classwise.greedyhash import GREEDYHASH, GreedyHashOptions
from nearbit.methods.classwise.idcwh import IDCWH, IDCWHOptions
from nearbit.methods.classwise.lthnet import LTHNET, LTHNetOptions
from nearbit.methods.closed_form.label_code import LABEL, LabelOptions
from nearbit.methods.closed_form.projections import ITQ, PCA, RANDOM, ITQOptions
from nearbit.methods.closed_form.ridge import RIDGE, RidgeOptions
from nearbit.methods.closed_form.rslh import RSLH, RSLHOptions
from nearbit.methods.closed_form.sslh import SSLH, SSLHOptions
from nearbit.methods.hash_centers.crh import CRH, CRHOptions
from nearbit.methods.hash_centers.csq import CSQ, CSQOptions
from nearbit.methods.hash_centers.dpn import DPN, DPNOptions
from nearbit.methods.hash_centers.dsah import DSAH, DSAHOptions
from nearbit.methods.hash_centers.ech import ECH, ECHOptions
from nearbit.methods.hash_centers.hclm import HCLM, HCLMOptions
from nearbit.methods.hash_centers.ics import ICS, ICSOptions
from nearbit.methods.hash_centers.lbhc import LBHC, LBHCOptions
from nearbit.methods.hash_centers.mds import MDS, MDSOptions
from nearbit.methods.hash_centers.mlh import MLH, MLHOptions
from nearbit.methods.hash_centers.orthohash import ORTHOHASH, OrthoHashOptions
from nearbit.methods.hash_centers.shc import SHC, SHCMethodOptions
from nearbit.methods.method import (
    Committee,
    LossModule,
    Memory,
    MemoryTerm,
    Method,
    Regime,
    Schedule,
    Similarity,
    Targets,
    Task,
    TrainingImages,
)
from nearbit.methods.pairwise.dpsh import DPSH, DPSHOptions
from nearbit.methods.pairwise.dtsh import DTSH, DTSHOptions
from nearbit.methods.pairwise.hashnet import HASHNET, HashNetOptions
from nearbit.methods.pairwise.idhn import IDHN, IDHNOptions
from nearbit.methods.unlabelled.cimon import CIMON, CIMONOptions

__all__ = [
    "BASELINES",
    "CIMON",
    "CLASSIFIER",
    "CRH",
    "CSQ",
    "DCWH",
    "DPN",
    "DPSH",
    "DSAH",
    "DTSH",
    "ECH",
    "GREEDYHASH",
    "HASHNET",
    "HCLM",
    "ICS",
    "IDCWH",
    "IDHN",
    "ITQ",
    "LABEL",
    "LBHC",
    "LTHNET",
    "MDS",
    "METHODS",
    "MLH",
    "ORTHOHASH",
    "PCA",
    "RANDOM",
    "RIDGE",
    "RSLH",
    "SHC",
    "SSLH",
    "Baseline",
    "CIMONOptions",
    "CRHOptions",
    "CSQOptions",
    "Committee",
    "DCWHOptions",
    "DPNOptions",
    "DPSHOptions",
    "DSAHOptions",
    "DTSHOptions",
    "ECHOptions",
    "Fitted",
    "GreedyHashOptions",
    "HCLMOptions",
    "HashNetOptions",
    "ICSOptions",
    "IDCWHOptions",
    "IDHNOptions",
    "ITQOptions",
    "LBHCOptions",
    "LTHNetOptions",
    "LabelOptions",
    "LossModule",
    "MDSOptions",
    "MLHOptions",
    "Memory",
    "MemoryTerm",
    "Method",
    "OrthoHashOptions",
    "RSLHOptions",
    "Regime",
    "RidgeOptions",
    "SHCMethodOptions",
    "SSLHOptions",
    "Schedule",
    "Similarity",
    "Targets",
    "Task",
    "TrainingImages",
    "find_method",
]

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        CRH,
        SHC,
        ECH,
        CSQ,
        MDS,
        ORTHOHASH,
        DPN,
        HCLM,
        ICS,
        DSAH,
        DPSH,
        DTSH,
        HASHNET,
        IDHN,
        GREEDYHASH,
        DCWH,
        IDCWH,
        LTHNET,
        LBHC,
        MLH,
        CIMON,
    )
}
"""Every method that trains a hash network: the command line, model folders and the tests know them."""

BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        ITQ,
        PCA,
        RANDOM,
        RIDGE,
        LABEL,
        RSLH,
        SSLH,
    )
}
"""Every rule that makes codes of frozen features without training a hash network."""

GROUP = "nearbit.methods"
"""The entry points that declare methods."""


def find_method(name: str) -> Method | Baseline:
    """Return the method or baseline of that name: nearbit's own, or one that an installed package declares.

    Raises:
        InputError: an unknown name, with the nearest one; or a declaration that does not hold (see `_load_installed`).
    """
    own: dict[str, Method | Baseline] = {**METHODS, **BASELINES}
    installed = installed_methods()
    if name in own and name in installed:
        raise InputError(
            f"{name!r} is a method of nearbit, and {installed[name][0].value} is declared under the same name: "
            "rename or remove that"
        )
    if name in installed:
        return _load_installed(installed[name])
    if name not in own:
        known = [*own, *installed]
        raise InputError(f"unknown method {name!r}; known: {', '.join(known)}.{did_you_mean(name, known)}")
    return own[name]


def installed_methods() -> dict[str, list[EntryPoint]]:
    """Return what installed packages declare, by name; nothing of it is imported."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, place_of(entry))):
        found.setdefault(entry.name, []).append(entry)
    return found


def _load_installed(entries: list[EntryPoint]) -> Method | Baseline:
    """Import a method that a package declares.

    Args:
        entries: all that was declared under its name.

    Raises:
        InputError: two packages declare it, it cannot be imported, or it is no method of that name.
    """
    entry = entries[0]
    if len(entries) > 1:
        places = ", ".join(map(place_of, entries))
        raise InputError(f"several packages declare a method {entry.name!r} ({places}): remove all but one")
    try:
        value = entry.load()
    except (ImportError, AttributeError) as error:
        raise InputError(f"the method {entry.name!r} of {place_of(entry)} cannot be imported: {error}") from error
    if not isinstance(value, Method | Baseline) or value.name != entry.name:
        raise InputError(
            f"{place_of(entry)} must be a Method or a Baseline named {entry.name!r}, not "
            + (f"one named {value.name!r}" if isinstance(value, Method | Baseline) else f"{type(value).__name__}")
        )
    return value


def place_of(entry: EntryPoint) -> str:
    """Return where a method is declared, for messages: `module:NAME (package NAME)`."""
    package = "" if entry.dist is None else f" (package {entry.dist.name})"
    return f"{entry.value}{package}"
