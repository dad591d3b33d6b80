"""Pictures in folders that are no classes, as MS COCO has them: what lists name."""

from pathlib import Path

from awkward_images import encoded, noisy

PATHS = [f"{'train' if number < 6 else 'val'}2014/{number}.png" for number in range(12)]


def write_pictures(root: Path) -> Path:
    """Write a picture at each of `PATHS`, no two the same, and return their folder."""
    for number, path in enumerate(PATHS):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(encoded(noisy(number, 8)))
    return root
