"""What the figures of the demo say, in sentences that follow from the figures and from nothing else."""

from collections.abc import Sequence

from nearbit.report.demo_parts import Centers, Chapter, PageCell

EASY = 0.98
"""Where every figure is above, the images are too easy to tell methods apart."""

WITHIN_NOISE = 0.02
"""Differences of one seed that are of no account."""


def readings(chapter: Chapter) -> list[str]:
    """Return what the table of a chapter shows, a sentence or two each."""
    return [words for words in (_methods(chapter.cells), _floats(chapter), _asymmetric(chapter.cells)) if words]


def _methods(cells: Sequence[PageCell]) -> str:
    best = max(cells, key=lambda cell: cell.tie_aware_map)
    worst = min(cells, key=lambda cell: cell.tie_aware_map)
    if len(cells) < 2:
        return ""
    if worst.tie_aware_map > EASY:
        return f"Every figure is above {EASY}: these images are too easy to tell methods apart."
    apart = best.tie_aware_map - worst.tie_aware_map
    told = f"Highest is {_named(best)}, lowest {_named(worst)}: {apart:.3f} apart"
    if apart <= WITHIN_NOISE:
        return f"{told}, which one seed cannot tell from noise."
    close = [
        cell.method for cell in cells if cell is not best and best.tie_aware_map - cell.tie_aware_map <= WITHIN_NOISE
    ]
    return f"{told}." + (f" {_joined(close)} within {WITHIN_NOISE:g} of the best: too near to rank." if close else "")


def _joined(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is"
    return f"{', '.join(names[:-1])} and {names[-1]} are"


def _named(cell: PageCell) -> str:
    return f"{cell.method} ({cell.tie_aware_map:.3f})"


def _floats(chapter: Chapter) -> str:
    parts = []
    for one in chapter.floats:
        above = sum(cell.tie_aware_map > one.tie_aware_map for cell in chapter.cells)
        parts.append(f"{above} of {len(chapter.cells)} methods rank above the {one.name} ({one.tie_aware_map:.3f})")
    if not parts:
        return ""
    bits, width = chapter.cells[0].n_bits, max(one.width for one in chapter.floats)
    return f"{'; '.join(parts)}. A code has {bits} bits, the {width} floats of a row {32 * width:,}."


def _asymmetric(cells: Sequence[PageCell]) -> str:
    gains = [cell.asymmetric_map - cell.tie_aware_map for cell in cells if cell.asymmetric_map is not None]
    if not gains:
        return ""
    what = "Asymmetric search, by the query's real outputs in the place of its signs and with nothing more stored, "
    if len(gains) == 1:
        return f"{what}changes the figure by {gains[0]:+.3f}."
    gaining = sum(gain > 0 for gain in gains)
    return f"{what}gains for {gaining} of {len(gains)} networks: by {min(gains):+.3f} to {max(gains):+.3f}."


def reading_of_centers(centers: Centers) -> str:
    """Return how the centers of a method follow the similarity, for below its picture."""
    least = f"no two nearer than {centers.min_distance} bits"
    if centers.correlation is None:
        return f"All centers are equally far apart, so they follow no similarity; {least}."
    return f"Correlation with the similarity {centers.correlation:+.2f}; {least}."
