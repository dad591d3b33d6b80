"""Stanford Cars as it was published: `cars_train`, `cars_test` and the tables of its devkit."""

from pathlib import Path

from nearbit.datasets.formats.format import FOR_PUBLISHED, Format
from nearbit.datasets.formats.labels_file import Places
from nearbit.datasets.formats.published.counts import add_once, short
from nearbit.datasets.formats.published.mat import Value, read_mat, whole_numbers
from nearbit.datasets.listing import ListedImage, Listing
from nearbit.errors import DataError
from nearbit.reading import ReadingOptions

_KITS = ("devkit", "car_devkit", "car_devkit/devkit")
_TRAIN, _META, _TEST = "cars_train_annos.mat", "cars_meta.mat", "cars_test_annos_withlabels.mat"
_OFFICIAL = {"train": 8144, "query": 8041}
_LONG_MAKERS = ("AM General", "Aston Martin", "Land Rover")
"""The makers of two words; the name of each other class begins with a maker of one."""


def find_cars(folder: Path) -> Path | None:
    """Return the folder that holds `cars_train`, `cars_test` and a devkit: `folder`, or `stanford_cars` inside it."""
    for place in (folder, folder / "stanford_cars"):
        if (place / "cars_train").is_dir() and (place / "cars_test").is_dir() and _kit(place) is not None:
            return place
    return None


def _kit(place: Path) -> Path | None:
    kits = (place / name for name in _KITS)
    return next((kit for kit in kits if (kit / _META).is_file() and (kit / _TRAIN).is_file()), None)


def list_cars(place: Path, options: ReadingOptions) -> Listing:
    """List the images of the official training and test set, labelled by the official names of the classes.

    The maker, with which each name begins, becomes the superclass. Test images are the queries.

    Args:
        place: holds `cars_train`, `cars_test`, the devkit, and in it or beside it `cars_test_annos_withlabels.mat`,
            which was published apart.
        options: nothing of them is used.

    Raises:
        DataError: a table is missing, damaged or in another form.
    """
    kit = _kit(place)
    if kit is None:
        raise DataError(f"{place}: expected devkit/{_META} and devkit/{_TRAIN} in it")
    names = class_names(kit / _META)
    test = next((file for file in (kit / _TEST, place / _TEST) if file.is_file()), None)
    if test is None:
        raise DataError(
            f"{place}: expected {_TEST} in it or in {kit.name}, for the labels of the test images; it was published "
            "apart from the devkit, whose cars_test_annos.mat has no labels"
        )
    places = Places(kit / _META, place)
    items: dict[str, ListedImage] = {}
    for file, images, part in ((kit / _TRAIN, "cars_train", "train"), (test, "cars_test", "query")):
        for row, (path, number) in enumerate(_annotations(file, len(names)), start=1):
            key = places.find(f"{_inner(place, images)}/{path}", str(file))
            if key is not None:
                add_once(items, ListedImage(key, (names[number - 1],), part), f"{file}, annotation {row}")
    return Listing(
        "cars196",
        place,
        tuple(items.values()),
        classes=names,
        parents={name: maker_of(name) for name in names},
        problems=tuple(places.problems),
        read_as=f"the tables of the devkit of Stanford Cars ({_TRAIN}, {test.name}, {_META})",
        notes=short(items.values(), _OFFICIAL),
    )


def _inner(place: Path, images: str) -> str:
    """Return the folder of images; some copies have it twice, one in the other."""
    return f"{images}/{images}" if (place / images / images).is_dir() else images


def maker_of(name: str) -> str:
    """Return the maker that the name of a class begins with: "AM General" of "AM General Hummer SUV 2000"."""
    return next((maker for maker in _LONG_MAKERS if name.startswith(f"{maker} ")), name.partition(" ")[0])


def class_names(file: Path) -> tuple[str, ...]:
    """Return the names of the classes in the order of their numbers, from 1."""
    names = read_mat(file, "class_names")
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise DataError(f"{file}: expected the names of the classes in class_names; fetch the file again")
    if len({str(name) for name in names}) != len(names):
        raise DataError(f"{file}: two classes have the same name; fetch the file again")
    return tuple(str(name) for name in names)


def _annotations(file: Path, n_classes: int) -> list[tuple[str, int]]:
    """Return file name and class number of each image, in the order of the table."""
    table = read_mat(file, "annotations")
    if not isinstance(table, list) or not all(
        isinstance(row, dict) and {"fname", "class"} <= set(row) for row in table
    ):
        raise DataError(f"{file}: expected annotations with the fields fname and class; fetch the file again")
    return [
        _checked(file, number, row["fname"], row["class"], n_classes)
        for number, row in enumerate(table, start=1)
        if isinstance(row, dict)
    ]


def _checked(file: Path, row: int, path: Value, number: Value, n_classes: int) -> tuple[str, int]:
    whole = whole_numbers(number)
    if not isinstance(path, str) or whole is None or len(whole) != 1 or not 1 <= whole[0] <= n_classes:
        came = f"the image {path if isinstance(path, str) else '?'} and the class {number}"
        raise DataError(
            f"{file}: annotation {row} has {came}; expected the name of a file and a class from 1 to {n_classes}"
        )
    return path, int(whole[0])


CARS = Format(
    name="Stanford Cars with its devkit", read=list_cars, find=find_cars,
    refuses=FOR_PUBLISHED,
)  # fmt: skip
