"""Pages of groups and of clusters: self-contained HTML with small pictures."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from nearbit.datasets import open_image
from nearbit.errors import ImageError
from nearbit.grouping.clusters import ClusterTold
from nearbit.grouping.duplicates import Copy, Duplicates
from nearbit.index import Clusters, Home, Item
from nearbit.report.page import page, photograph

SIDE = 160
"""Pixels of the longer side of a picture."""
MOST_GROUPS, MOST_COPIES = 200, 12
"""Groups, and pictures of each, that a page shows."""


def duplicates_page(found: Duplicates) -> str:
    """Return the page of groups: the picture that is kept first, and the others with what differs."""
    shown = found.groups[:MOST_GROUPS]
    body = [
        "<h1>Duplicates</h1>",
        f'<p class="lead">{len(found.groups)} groups of {found.n_others + len(found.groups)} among {found.n_items} '
        f"items, joined by pairs of at most {found.radius} bits. The one to keep comes first ({escape(found.keep)}). "
        "Nothing was deleted.</p>",
        *(f'<p class="note">{escape(line)}</p>' for line in found.advice()),
    ]
    for number, group in enumerate(shown, start=1):
        others = group.others[: MOST_COPIES - 1]
        cards = [_copy_card(group.kept, is_kept=True), *(_copy_card(one, is_kept=False) for one in others)]
        body.append(f"<h2>{number}. {len(group.others) + 1} pictures</h2>")
        body.append(f'<div class="photos">{"".join(cards)}</div>')
        body += _left_out(len(group.others) - len(others), "picture", "of this group")
    body += _left_out(len(found.groups) - len(shown), "group", "in all; a .csv or .json file has every one")
    return page("Duplicates", body)


def clusters_page(index: Home, found: Clusters, told: Sequence[ClusterTold]) -> str:
    """Return the page of clusters: the typical picture of each first, then those next to the center."""
    folder = index.folder
    body = [
        "<h1>Clusters</h1>",
        f'<p class="lead">{len(found.ids)} items around {len(found)} centers, {found.mean_distance:.1f} bits from '
        "theirs on average. The typical picture of each comes first: the one nearest to the center.</p>",
    ]
    for one in told[:MOST_GROUPS]:
        title = f" · {escape(one.name)}" if one.name else ""
        body.append(f"<h2>{one.number}. {one.size} items{title}</h2>")
        body.append(f'<p class="note">{one.mean_distance:.1f} bits from the center on average</p>')
        cards = [_item_card(folder, one.typical, "typical"), *(_item_card(folder, item, "") for item in one.examples)]
        body.append(f'<div class="photos">{"".join(cards)}</div>')
    body += _left_out(len(told) - MOST_GROUPS, "cluster", "in all; a .csv or .json file has every one")
    return page("Clusters", body)


def _left_out(number: int, one: str, where: str) -> list[str]:
    return [f'<p class="note">… {number} more {one}{"s" if number > 1 else ""} {where}</p>'] if number > 0 else []


def _copy_card(copy: Copy, *, is_kept: bool) -> str:
    size = f"{copy.width} × {copy.height}" if copy.width else ""
    n_bytes = "" if copy.n_bytes is None else f"{copy.n_bytes / 1000:,.0f} kB"
    away = "keep" if is_kept else f"{copy.distance} bits"
    facts = [", ".join(copy.labels), " · ".join(part for part in (size, n_bytes) if part)]
    return _card(Path(copy.file) if copy.file else None, away, copy.path, facts, is_kept)


def _item_card(folder: Path, item: Item, mark: str) -> str:
    file = Path(os.path.normpath(folder / item.path)) if item.path else None
    return _card(file, mark, item.path, [", ".join(item.labels)], bool(mark))


def _card(file: Path | None, mark: str, path: str | None, facts: Sequence[str], is_first: bool) -> str:
    try:
        shown: Any = "" if file is None else photograph(open_image(file, SIDE), path or "", SIDE)
    except ImageError as error:
        shown = f'<p class="note">no picture: {escape(str(error))}</p>'
    lines = [f"<b>{escape(mark)}</b>" if mark else "", *(escape(one) for one in facts), escape(path or "")]
    caption = "<br>".join(line for line in lines if line)
    return f"<figure{' class=hit' if is_first else ''}>{shown}<figcaption>{caption}</figcaption></figure>"
