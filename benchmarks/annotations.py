"""Memory and processor time to read MS COCO annotations, beside the simplest line, `json.load`.

    python benchmarks/annotations.py --images 72000

A made file of the form of `instances_train2014.json` (72,000 images: 440 MB, about as the official one); each side
reads it in a process of its own, where what it adds to the process at its peak is noted.
"""

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nearbit.datasets.formats.coco import list_coco
from nearbit.reading import ReadingOptions


def make(path: Path, n_images: int) -> None:
    """Write annotations with seven outlines of 45 points an image."""
    rng = random.Random(0)
    name = "COCO_train2014_{:012d}.jpg"
    images = [
        {
            "license": 1,
            "file_name": name.format(number),
            "coco_url": f"http://images.cocodataset.org/train2014/{name.format(number)}",
            "height": 480,
            "width": 640,
            "date_captured": "2013-11-14 11:18:45",
            "id": number,
        }
        for number in range(n_images)
    ]
    kinds = [{"supercategory": "thing", "id": number, "name": f"class {number}"} for number in range(1, 81)]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'{{"images": {json.dumps(images)}, "categories": {json.dumps(kinds)}, "annotations": [')
        for number in range(7 * n_images):
            outline = [round(rng.random() * 640, 2) for _ in range(90)]
            one = {
                "segmentation": [outline],
                "area": 4096.25,
                "iscrowd": 0,
                "image_id": number % n_images,
                "bbox": [473.07, 395.93, 38.65, 28.67],
                "category_id": rng.randint(1, 80),
                "id": number,
            }
            file.write(("" if number == 0 else ", ") + json.dumps(one))
        file.write("]}")


def by_json(path: Path) -> object:
    """Read them by the simplest line."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def by_nearbit(path: Path) -> object:
    """List the images with their labels, whose pictures are not there."""
    return list_coco(path, ReadingOptions())


def measured(read: Callable[[Path], object], path: Path, told: Any) -> None:
    """Tell the MB that reading adds to this process, and its seconds."""
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    read(path)
    taken = time.process_time() - begun
    told.put(((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, taken))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=72_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/annotations.json"))
    given = parser.parse_args()
    about: dict[str, Any] = {"images": given.images}
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "instances.json")
        make(path, given.images)
        about["file_mb"] = path.stat().st_size / 1e6
        print(f"{given.images:,} images, {about['file_mb']:.0f} MB")
        for name, read in (("json.load", by_json), ("nearbit", by_nearbit)):
            told = context.Queue()
            process = context.Process(target=measured, args=(read, path, told))
            process.start()
            mb, seconds = told.get()
            process.join()
            about[name] = {"mb": mb, "seconds": seconds}
            print(f"{name}: {mb:.0f} MB, {seconds:.1f} s")
    given.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
