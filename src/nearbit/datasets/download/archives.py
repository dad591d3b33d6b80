"""The official archives that are fetched, and what is known of those that are not."""

from collections.abc import Mapping
from dataclasses import dataclass

_NAMES_MOST = 65_536
_TABLE_MOST = 4_000_000
_TFDS = "the checksums of TensorFlow Datasets (tensorflow/datasets, url_checksums)"
_OWN_PAGE = "its own page"


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An archive to fetch (`.tar.gz`, `.tgz`, `.zip`), or a plain file.

    Attributes:
        url: where it is.
        checksum: `md5:` or `sha256:` and the digest in hexadecimal.
        published: where that checksum is published, in words.
        n_bytes: how long it is.
        folder: where its files go, below the folder of all data sets; of a plain file the folder that it lies in.
        inside: the folder in the archive that holds them; "" for none.
        files: each expected file and the most bytes it has; empty for a plain file.
        pictures: which JPEGs are taken too: "*" for those in `inside`, "images/*/*" for those two folders below.
    """

    url: str
    checksum: str
    published: str
    n_bytes: int
    folder: str
    inside: str = ""
    files: Mapping[str, int]
    pictures: str = ""

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def is_plain(self) -> bool:
        """Whether nothing is to be unpacked."""
        return not self.files and not self.pictures

    @property
    def n_unpacked(self) -> int:
        """Bytes that its files take, about: JPEGs do not get smaller in an archive."""
        return self.n_bytes if self.pictures else sum(self.files.values())


@dataclass(frozen=True, kw_only=True)
class ArchiveSet:
    """The archives of one data set.

    Attributes:
        folder: the one that holds all of it, below the folder of all data sets.
        archives: in the order in which they are fetched.
        terms: what its owners allow, in words; "" where its page says nothing.
    """

    folder: str
    archives: tuple[Archive, ...]
    terms: str = ""


_CIFAR10_BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")

_CIFAR10 = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    checksum="md5:c32a1d4ab5d03f1284b67883e8d87530",
    published=_OWN_PAGE,
    n_bytes=170_052_171,
    folder="cifar-10-batches-bin",
    inside="cifar-10-batches-bin",
    files={**dict.fromkeys(_CIFAR10_BATCHES, 30_730_000), "batches.meta.txt": _NAMES_MOST},
)

_CIFAR100 = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    checksum="md5:03b5dce01913d631647c71ecec9e9cb8",
    published=_OWN_PAGE,
    n_bytes=168_513_733,
    folder="cifar-100-binary",
    inside="cifar-100-binary",
    files={
        "train.bin": 153_700_000,
        "test.bin": 30_740_000,
        "coarse_label_names.txt": _NAMES_MOST,
        "fine_label_names.txt": _NAMES_MOST,
    },
)

_CUB200 = Archive(
    url="https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
    checksum="md5:97eceeb196236b17998738112f37df78",
    published=_OWN_PAGE,
    n_bytes=1_150_585_339,
    folder="CUB_200_2011",
    inside="CUB_200_2011",
    files=dict.fromkeys(("images.txt", "image_class_labels.txt", "classes.txt", "train_test_split.txt"), _TABLE_MOST),
    pictures="images/*/*",
)


def _pictures(url: str, checksum: str, n_bytes: int, folder: str, *, published: str = _TFDS) -> Archive:
    """Return an archive of the JPEGs of one folder, which keeps its name."""
    return Archive(
        url=url, checksum=checksum, published=published, n_bytes=n_bytes, folder=folder,
        inside=folder.rpartition("/")[2], files={}, pictures="*",
    )  # fmt: skip


def _coco_pictures(part: str, sha256: str, n_bytes: int) -> Archive:
    url = f"http://images.cocodataset.org/zips/{part}.zip"
    return _pictures(url, f"sha256:{sha256}", n_bytes, f"coco{part[-4:]}/{part}")


def _coco_annotations(year: int, sha256: str, n_bytes: int, most: int) -> Archive:
    return Archive(
        url=f"http://images.cocodataset.org/annotations/annotations_trainval{year}.zip",
        checksum=f"sha256:{sha256}", published=_TFDS, n_bytes=n_bytes,
        folder=f"coco{year}/annotations", inside="annotations",
        files={f"instances_{part}{year}.json": most for part in ("train", "val")},
    )  # fmt: skip


_COCO2014 = (
    _coco_annotations(2014, "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009", 252_872_794, 4 * 10**8),
    _coco_pictures("val2014", "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0", 6_645_013_297),
    _coco_pictures("train2014", "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775", 13_510_573_713),
)
_COCO2017 = (
    _coco_annotations(2017, "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268", 252_907_541, 5 * 10**8),
    _coco_pictures("val2017", "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05", 815_585_330),
    _coco_pictures("train2017", "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929", 19_336_861_798),
)

MIRFLICKR_LABELS = (
    "animals", "baby", "baby_r1", "bird", "bird_r1", "car", "car_r1", "clouds", "clouds_r1", "dog", "dog_r1", "female",
    "female_r1", "flower", "flower_r1", "food", "indoor", "lake", "male", "male_r1", "night", "night_r1", "people",
    "people_r1", "plant_life", "portrait", "portrait_r1", "river", "river_r1", "sea", "sea_r1", "sky", "structures",
    "sunset", "transport", "tree", "tree_r1", "water",
)  # fmt: skip
"""The 24 labels of MIRFlickr-25k, and the 14 of them that exist a second time for images in which they matter most."""

_MIRFLICKR = (
    Archive(
        url="https://press.liacs.nl/mirflickr/mirflickr25k.v3b/mirflickr25k_annotations_v080.zip",
        checksum="md5:aa0138c79892b1b670184d142380948f",
        published="one public repository alone",
        n_bytes=207_220,
        folder="mirflickr25k/annotations",
        files={f"{label}.txt": 1_000_000 for label in MIRFLICKR_LABELS},
    ),
    _pictures(
        "https://press.liacs.nl/mirflickr/mirflickr25k.v3b/mirflickr25k.zip",
        "md5:a23d0a8564ee84cda5622a6c2f947785",
        3_069_184_257,
        "mirflickr25k/mirflickr",
        published=_OWN_PAGE,
    ),
)


def _flowers(name: str, sha256: str, n_bytes: int) -> Archive:
    return Archive(
        url=f"https://www.robots.ox.ac.uk/~vgg/data/flowers/102/{name}", checksum=f"sha256:{sha256}", published=_TFDS,
        n_bytes=n_bytes, folder="flowers102", files={},
    )  # fmt: skip


_FLOWERS = (
    _flowers("imagelabels.mat", "4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d", 502),
    _flowers("setid.mat", "46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd", 14_989),
    _pictures(
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/102flowers.tgz",
        "sha256:2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246",
        344_862_509,
        "flowers102/jpg",
    ),
)

_PETS = (
    Archive(
        url="https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz",
        checksum="sha256:52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
        published=_TFDS,
        n_bytes=19_173_078,
        folder="oxford-pets/annotations",
        inside="annotations",
        files=dict.fromkeys(("list.txt", "trainval.txt", "test.txt"), _TABLE_MOST),
    ),
    _pictures(
        "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
        "sha256:67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
        791_918_971,
        "oxford-pets/images",
    ),
)

_FLICKR = "use of the pictures must abide by the terms of Flickr"

SETS = {
    "cifar10": ArchiveSet(folder="cifar-10-batches-bin", archives=(_CIFAR10,)),
    "cifar100": ArchiveSet(folder="cifar-100-binary", archives=(_CIFAR100,)),
    "cub200": ArchiveSet(folder="CUB_200_2011", archives=(_CUB200,), terms="for research only"),
    "coco2014": ArchiveSet(folder="coco2014", archives=_COCO2014, terms=_FLICKR),
    "coco2017": ArchiveSet(folder="coco2017", archives=_COCO2017, terms=_FLICKR),
    "mirflickr25k": ArchiveSet(folder="mirflickr25k", archives=_MIRFLICKR, terms="Creative Commons"),
    "flowers102": ArchiveSet(folder="flowers102", archives=_FLOWERS),
    "oxford-pets": ArchiveSet(folder="oxford-pets", archives=_PETS, terms="CC BY-SA 4.0"),
}
"""What is fetched, by the name of the data set; URLs are those that the owners' pages give."""

_LISTS = "With the pictures and the text lists of the field: nearbit data LISTS --images PICTURES"

NOT_FETCHED = {
    "cars196": "the official page of Stanford Cars is gone; issue 7545 of pytorch/vision names copies of its "
    "pictures, of car_devkit.tgz and of cars_test_annos_withlabels.mat. Give the folder that holds cars_train, "
    "cars_test and devkit",
    "nabirds": "NABirds is given by the Cornell Lab of Ornithology to those who agree to its terms "
    "(dl.allaboutbirds.org/nabirds). Give the unpacked folder nabirds",
    "nus-wide": f"NUS-WIDE is published as lists of addresses of pictures, of which many are gone. {_LISTS}",
    "imagenet100": f"ImageNet is given to those who agree to its terms (image-net.org). {_LISTS}",
}
"""Why other data sets are not fetched, and what to do, by name."""
