"""`nearbit centers`: hash centers alone, with their certificate."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from nearbit.cli.console import AnyParam, Bars, emit, json_option, table
from nearbit.errors import DataError, InputError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

COMPARED = ("semantic", "shc", "assigned")


class Distances(AnyParam):
    """Minimum distances from the first to the last: 4:16, or 4:16:2 for every second one."""

    name = "first:last"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, range):
            return value
        try:
            first, last, *steps = (int(part) for part in value.split(":"))
            (step,) = steps or (1,)
        except ValueError:
            self.fail(f"{value!r} must read FIRST:LAST or FIRST:LAST:STEP, such as 4:16", param, ctx)
        if not (1 <= first <= last and step >= 1):
            self.fail(f"{value!r} must go up from 1 or more, such as 4:16", param, ctx)
        return range(first, last + 1, step)


OPTIONS = (
    click.option("--classes", "n_classes", type=click.IntRange(2), help="Number of classes, without a similarity."),
    click.option(
        "--similarity",
        "similarity_path",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Similarity of the classes, one row and column a class: .npy, or .csv without a header.",
    ),
    click.option("--bits", "n_bits", type=click.IntRange(1), required=True, help="Length of the centers in bits."),
    click.option(
        "--min-distance", type=click.IntRange(1), help="Least distance of any two centers. [default: the kind's own]"
    ),
    click.option(
        "--effort",
        type=click.FloatRange(0, min_open=True),
        help="Multiplies the steps of the search (semantic). [default: 1]",
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides every random choice."),
    click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the centers (.npy)."),
    click.option("--certificate", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures (.json)."),
    click.option(
        "--plot", type=click.Path(path_type=Path, dir_okay=False), help="Write a picture of the distances (.png, .svg)."
    ),
    click.option(
        "--trade-off",
        "distances",
        type=Distances(),
        help="Say what each minimum distance costs in semantic loss, such as 4:12 (semantic).",
    ),
    click.option("--compare", is_flag=True, help="Set the three ways to follow a similarity side by side (semantic)."),
)


def _options(command: Any) -> Any:
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command("centers", epilog="Example: nearbit centers semantic --similarity S.npy --bits 32 -o centers.npy")
@click.argument("kind")
@_options
@json_option
def command(
    kind: str,
    n_classes: int | None,
    similarity_path: Path | None,
    n_bits: int,
    min_distance: int | None,
    effort: float | None,
    seed: int,
    output: Path | None,
    certificate: Path | None,
    plot: Path | None,
    distances: range | None,
    compare: bool,
    as_json: bool,
) -> None:
    """Make hash centers of KIND and say how far apart they are, and how far apart any centers could be.

    KIND is separated (as far apart as nearbit can), mds, hadamard, csq, bernoulli, orthohash, maxhd or codebook; or,
    with --similarity, semantic (like classes get near centers), shc (the published procedure) or assigned (words of a
    strong code, given to the classes). The other kinds take a similarity too, to be measured against it.
    """
    if (compare or distances) and (kind != "semantic" or similarity_path is None):
        raise InputError("--trade-off and --compare go with semantic centers and --similarity")
    if effort is not None and kind != "semantic":
        raise InputError(f"--effort goes with semantic, not {kind}")
    _check_kind(kind, similarity_path, min_distance)
    if n_classes is None and similarity_path is None:
        raise InputError("give --classes N, or --similarity FILE")
    form = None if plot is None else _picture_format(plot)
    matrix = None if similarity_path is None else read_similarity(similarity_path, n_classes)
    wanted = Wanted(n_classes or len(_present(matrix)), n_bits, seed, matrix, min_distance, effort or 1.0)
    centers, seconds = wanted.make(kind)
    tables = {
        "compare": _compared(wanted) if compare else [],
        "trade_off": _curve(wanted, distances) if distances else [],
    }
    about, lines = _certified(kind, seconds, centers, wanted, certificate)
    if output is not None:
        write_centers(output, centers)
        about["centers"] = str(output)
        lines.append(f"{output}: the centers, int8 {centers.shape}")
    if plot is not None:
        _draw(plot, form, centers, matrix)
    for name, rows in tables.items():
        if rows:
            about[name] = rows
            lines += ["", *_table(rows)]
    emit(about, as_json=as_json, lines=lines)


def _check_kind(kind: str, similarity_path: Path | None, min_distance: int | None) -> None:
    """Raise `InputError` where a known kind lacks its similarity or does not use --min-distance."""
    from nearbit.centers import CENTERS, SEMANTIC_CENTERS

    if kind in SEMANTIC_CENTERS and similarity_path is None:
        raise InputError(f"{kind} centers need --similarity FILE")
    if min_distance is not None and kind in CENTERS and kind != "separated":
        *others, last = ("separated", *SEMANTIC_CENTERS)
        raise InputError(f"--min-distance goes with {', '.join(others)} and {last}, not {kind}")


class Wanted(NamedTuple):
    """What centers are asked for."""

    n_classes: int
    n_bits: int
    seed: int
    similarity: "Matrix | None"
    min_distance: int | None
    effort: float

    def make(self, kind: str) -> tuple[Any, float]:
        """Return centers and the seconds that they took; the similarity goes to the kinds that follow one.

        The first run on a machine compiles the loops of the searches, on two classes; that is not counted.
        """
        import time

        import numpy as np

        from nearbit.centers import SEMANTIC_CENTERS, make_centers, semantic_centers

        follows = kind in SEMANTIC_CENTERS and self.similarity is not None
        if follows:
            make_centers(kind, n_classes=2, n_bits=2, rng=np.random.default_rng(0), similarity=np.eye(2))
        rng, begun = np.random.default_rng(self.seed), time.perf_counter()
        if kind == "semantic" and self.similarity is not None:
            centers = semantic_centers(
                self.similarity, self.n_bits, rng, min_distance=self.min_distance, effort=self.effort
            )
        else:
            centers = make_centers(
                kind,
                n_classes=self.n_classes,
                n_bits=self.n_bits,
                rng=rng,
                similarity=self.similarity if follows else None,
                min_distance=self.min_distance,
            )
        return centers, round(time.perf_counter() - begun, 3)


def _certified(
    kind: str, seconds: float, centers: Any, wanted: Wanted, path: Path | None
) -> tuple[dict[str, Any], list[str]]:
    """Return the figures of the centers, by name and as lines, and write them to `path` where it is one."""
    from nearbit.centers import certify
    from nearbit.files.writing import write_json

    proof = certify(centers, wanted.similarity)
    if path is not None:
        write_json(path, proof.to_dict())
    about = {"kind": kind, "seed": wanted.seed, "seconds": seconds, **proof.to_dict()}
    return about, [f"{kind}, made in {seconds:.2f} s", *proof.lines()]


def read_similarity(path: Path, n_classes: int | None) -> "Matrix":
    """Return a similarity from a file of numbers, as it lies there.

    Args:
        path: .npy, or else a table of numbers with commas.
        n_classes: how many classes there must be, or None for any.

    Raises:
        DataError: the file cannot be read as numbers.
        InputError: they are no similarity of so many classes.
    """
    import numpy as np

    from nearbit.centers import check_similarity
    from nearbit.files.arrays import arrays_read

    with arrays_read(path, DataError, "a table of numbers (.npy, or .csv without a header)"):
        if path.suffix == ".npy":
            with open(path, "rb") as handle:
                matrix = np.lib.format.read_array(handle, allow_pickle=False)
        else:
            matrix = np.loadtxt(path, delimiter=",", ndmin=2)
    check_similarity(matrix, n_classes)
    return np.asarray(matrix)


def _present(matrix: "Matrix | None") -> "Matrix":
    assert matrix is not None  # noqa: S101 - the command has asked for it
    return matrix


def write_centers(path: Path, centers: Any) -> None:
    """Write centers as .npy, whole or not at all, under exactly this name."""
    import numpy as np

    from nearbit.files.writing import write_whole

    def write(aside: Path) -> None:
        with open(aside, "wb") as handle:
            np.save(handle, centers, allow_pickle=False)

    write_whole(path, write)


def _picture_format(path: Path) -> str:
    """Return the format of a picture, before any work is done for it; raise where matplotlib is missing."""
    from nearbit.report.plots import picture_format

    form = picture_format(path)
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plots", "a plot of centers") from error
    return form


def _draw(path: Path, form: str | None, centers: Any, matrix: "Matrix | None") -> None:
    from nearbit.files.writing import write_whole
    from nearbit.report.plots import centers_heat_map

    def write(aside: Path) -> None:
        centers_heat_map(centers, matrix, aside, form=form)

    write_whole(path, write)


def _compared(wanted: Wanted) -> list[dict[str, Any]]:
    """Return the figures of each way to follow a similarity."""
    from nearbit.centers import certify

    rows = []
    for kind in COMPARED:
        centers, seconds = wanted.make(kind)
        proof = certify(centers, wanted.similarity)
        rows.append(
            {
                "kind": kind,
                "semantic_loss": proof.semantic_loss,
                "correlation": proof.correlation,
                "min_distance": proof.min_distance,
                "seconds": seconds,
            }
        )
    return rows


def _curve(wanted: Wanted, distances: range) -> list[dict[str, Any]]:
    import numpy as np

    from nearbit.centers import trade_off

    with Bars() as progress:
        rng, matrix = np.random.default_rng(wanted.seed), _present(wanted.similarity)
        curve = trade_off(matrix, wanted.n_bits, distances, rng, effort=wanted.effort, progress=progress)
    return [point._asdict() for point in curve]


def _table(rows: list[dict[str, Any]]) -> list[str]:
    cells = [[f"{value:.5g}" if isinstance(value, float) else value or "-" for value in row.values()] for row in rows]
    return table(cells, [name.replace("_", " ") for name in rows[0]])
