"""Small copies of data sets in the very layout in which their owners publish them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat


def picture(file: Path, seed: int) -> None:
    """Write a JPEG of random pixels."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def structs(rows: Sequence[Mapping[str, object]]) -> np.ndarray:
    """Return what savemat writes as a row of MATLAB structs."""
    table = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for column, row in enumerate(rows):
        table[0, column] = tuple(row.values())
    return table


CAR_NAMES = (
    "AM General Hummer SUV 2000",
    "Acura RL Sedan 2012",
    "Acura TL Sedan 2012",
    "smart fortwo Convertible 2012",
)


def annotation(number: int, path: str) -> dict[str, object]:
    """Return a row of the tables of the devkit, with its box."""
    box = {f"bbox_{side}": np.uint8(place) for place, side in enumerate(("x1", "y1", "x2", "y2"), start=1)}
    return {**box, "class": np.uint8(number), "fname": path}


def cars(root: Path, *, kit: str = "devkit") -> Path:
    """Write four training and four test images of Stanford Cars, with the devkit and the labels of the test images."""
    rows = {
        "cars_train": [annotation(number, f"{number:05d}.jpg") for number in (1, 2, 3, 4)],
        "cars_test": [annotation(5 - number, f"{number:05d}.jpg") for number in (1, 2, 3, 4)],
    }
    for seed, folder in enumerate(rows):
        for number in (1, 2, 3, 4):
            picture(root / folder / f"{number:05d}.jpg", 10 * seed + number)
    (root / kit).mkdir(parents=True)
    names = np.array([list(CAR_NAMES)], dtype=object)
    savemat(root / kit / "cars_meta.mat", {"class_names": names}, do_compression=True)
    savemat(root / kit / "cars_train_annos.mat", {"annotations": structs(rows["cars_train"])}, do_compression=True)
    savemat(root / "cars_test_annos_withlabels.mat", {"annotations": structs(rows["cars_test"])})
    return root


def coco(root: Path, year: int) -> Path:
    """Write COCO of one year: three pictures of train, two of val, with instances and a caption file beside."""
    categories = [
        {"id": 1, "name": "person", "supercategory": "person"},
        {"id": 18, "name": "dog", "supercategory": "animal"},
    ]
    start = "COCO_{}_" if year == 2014 else ""
    for part, numbers in (("train", (9, 25, 30)), ("val", (42, 73))):
        folder = f"{part}{year}"
        paths = {number: f"{start.format(folder)}{number:012d}.jpg" for number in numbers}
        for number, path in paths.items():
            picture(root / folder / path, number)
        annotations = [
            {"id": 100 + number, "image_id": number, "category_id": category, "segmentation": [[1.5, 2.0, 3.0, 4.0]]}
            for number in numbers
            for category in ((1, 18) if number == 9 else (18,) if number % 2 else (1,))
        ]
        table = {
            "info": {},
            "images": [{"id": number, "file_name": path} for number, path in paths.items()],
            "annotations": annotations,
            "categories": categories,
        }
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{folder}.json").write_text(json.dumps(table))
        (root / "annotations" / f"captions_{folder}.json").write_text("{}")
    return root


def mirflickr(root: Path, labels: Sequence[str], *, lists: str = "annotations") -> Path:
    """Write four pictures of MIRFlickr; label n is on the first three of them whose number divides n + 12."""
    for number in (1, 2, 3, 4):
        picture(root / "mirflickr" / f"im{number}.jpg", number)
    (root / lists).mkdir()
    for place, label in enumerate(labels):
        on = [number for number in (1, 2, 3) if (place + 12) % number == 0]
        (root / lists / f"{label}.txt").write_text("".join(f"{number}\r\n" for number in on))
    return root


def flowers(root: Path) -> Path:
    """Write six pictures of the 102 flowers, of two classes, two in each part."""
    for number in range(1, 7):
        picture(root / "jpg" / f"image_{number:05d}.jpg", number)
    savemat(root / "imagelabels.mat", {"labels": np.array([[77, 77, 77, 3, 3, 3]], np.uint8)})
    sets = {"trnid": [[1, 4]], "valid": [[2, 5]], "tstid": [[6, 3]]}
    savemat(root / "setid.mat", {name: np.array(rows, np.uint16) for name, rows in sets.items()})
    return root


def pets(root: Path) -> Path:
    """Write four pictures of two breeds, with what else lies among them."""
    (root / "annotations").mkdir(parents=True)
    for seed, name in enumerate(("Abyssinian_1", "Abyssinian_2", "great_pyrenees_10", "great_pyrenees_11")):
        picture(root / "images" / f"{name}.jpg", seed)
    (root / "images" / "Abyssinian_1.mat").write_bytes(b"MATLAB")
    (root / "annotations" / "trainval.txt").write_text("Abyssinian_1 1 1 1\ngreat_pyrenees_10 16 2 9\n")
    (root / "annotations" / "test.txt").write_text("Abyssinian_2 1 1 1\ngreat_pyrenees_11 16 2 9\n")
    (root / "annotations" / "list.txt").write_text("#Image CLASS-ID SPECIES BREED ID\nAbyssinian_1 1 1 1\n")
    return root
