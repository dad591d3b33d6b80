"""A model's card: Markdown under a YAML header, of the facts that the model folder holds and of nothing else."""

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nearbit.centers import certify
from nearbit.encoding.preprocessing import AnyInput, FeatureInput
from nearbit.errors import BundleError
from nearbit.files.writing import write_whole
from nearbit.methods import BASELINES, METHODS
from nearbit.model.bundle import Model, load_model
from nearbit.model.hub import CARD, marked
from nearbit.model.manifest import TRAINED, UNFIT, read_manifest, regime_of
from nearbit.model.measured import is_as_measured, moved_for
from nearbit.names import counted

MOST_CLASSES = 200
"""Classes that a card names; of more it names the first ones and says how many there are."""

MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~$:@])")
_NORMS = {"fixed": "the statistics of the pretrained weights, kept", "batch": "the statistics of each batch"}
SCHEDULE = ("epochs", "batch_size", "optimizer", "learning_rate", "backbone_factor", "weight_decay", "clip_norm")


def card_of_folder(folder: str | Path) -> str:
    """Return the card of a model folder; see `load_model` for what is raised."""
    path = Path(folder)
    model = load_model(path)
    return model_card(model, read_manifest(path, TRAINED)["files"], path.absolute().name)


def write_card(folder: str | Path, output: Path | None = None) -> None:
    """Write the card of a model folder, whole or not at all: to `output`, or as the README.md of the folder.

    What stands there is replaced. See `load_model` for what is raised.
    """
    content = marked(card_of_folder(folder)).encode()

    def write(aside: Path) -> None:
        aside.write_bytes(content)

    write_whole(Path(folder) / CARD if output is None else output, write)


def model_card(model: Model, files: Mapping[str, str], name: str) -> str:
    """Return the card of a model as Markdown with the YAML header of a model hub.

    Args:
        model: what the card is of.
        files: the SHA-256 of each of its files.
        name: what the model is called.

    Raises:
        BundleError: its record is none of a training.
    """
    try:
        return "\n".join(_lines(model, files, name))
    except UNFIT as error:
        raise BundleError(
            f"no card can be written of {name}: its record is not one that nearbit wrote ({error!r}); train it again"
        ) from error


def _lines(model: Model, files: Mapping[str, str], name: str) -> Iterator[str]:
    sections = (
        _about(model, name), _use(name), _training_data(model), _method(model), _network(model),
        _training(model), _figures(model), _centers(model), _files(files), _limits(model),
    )  # fmt: skip
    yield from _header(model, name)
    for section in sections:
        yield from section


def escaped(text: object) -> str:
    """Return a text as Markdown and HTML show it literally, on one line."""
    line = " ".join(str(text).encode("utf-8", "backslashreplace").decode().split())
    shown = "".join(one if one.isprintable() else "\ufffd" for one in line)
    return MARKDOWN.sub(r"\\\1", html.escape(shown, quote=False))


def quoted(text: object) -> str:
    """Return a text in the double quotes of YAML."""
    written = json.dumps(str(text).encode("utf-8", "backslashreplace").decode(), ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in written)


def _header(model: Model, name: str) -> Iterator[str]:
    tags = ["image-retrieval", "deep-hashing", "binary-codes", "hamming-distance", model.method]
    yield from ("---", "library_name: nearbit", "pipeline_tag: image-feature-extraction", "tags:")
    yield from (f"- {quoted(tag)}" for tag in tags)
    score = model.record.get("validation_map")
    if score is not None:
        dataset = quoted(_dataset(model))
        yield from ("model-index:", f"- name: {quoted(name)}", "  results:", "  - task:", "      type: image-retrieval")
        yield from ("    dataset:", f"      name: {dataset}", f"      type: {dataset}", "      split: validation")
        yield from ("    metrics:", "    - type: mean_average_precision", "      name: tie-aware mAP on validation")
        yield f"      value: {float(score):.4f}"
    yield from ("---", "")


def _about(model: Model, name: str) -> Iterator[str]:
    yield from (f"# {escaped(name)}", "")
    trained = f", trained on images of {counted(len(model.classes), 'class', 'classes')}" if model.classes else ""
    yield f"A hash network for image search: it turns an image into a code of {model.n_bits} bits{trained}."
    yield "Images whose codes differ in few bits are alike. Made with nearbit."
    yield from ("", f"Model id: `{model.model_id}`", "")


def _use(name: str) -> Iterator[str]:
    folder = name if re.fullmatch(r"[\w.][\w.-]*", name) else "MODEL"
    yield from ("## Use", "", "For searching collections of images like those that it was trained on, by an image.", "")
    yield from ("```console", f"$ nearbit index add photos.index photos/ --model {folder}")
    yield from ("$ nearbit search photos.index query.jpg -k 10", f"$ nearbit inspect {folder}", "```", "")


def _training_data(model: Model) -> Iterator[str]:
    yield from ("## Training data", "", f"Data set: {escaped(_dataset(model))}", "")
    if model.split is not None:
        sizes = model.split.sizes()
        yield from _table(("part", "images"), list(sizes.items()))
        yield from (f"Split: `{model.split.hash}`", "")
    shown = [escaped(one) for one in model.classes[:MOST_CLASSES]]
    more = f", and {len(model.classes) - MOST_CLASSES} more" if len(model.classes) > MOST_CLASSES else ""
    yield from (f"{counted(len(model.classes), 'class', 'classes')}{': ' if shown else ''}{', '.join(shown)}{more}", "")
    if model.split is not None:
        yield from ("## Split", "", *_table(("what", "value"), [*_made(model.split.recipe)]))


def _method(model: Model) -> Iterator[str]:
    known = METHODS.get(model.method) or BASELINES.get(model.method)
    yield from ("## Method", "", escaped(known.title if known else model.method), "")
    if known:
        yield from (f"Citation: {escaped(known.citation)}", "")
    yield from _table(("option", "value"), list(model.method_options.items()))


def _network(model: Model) -> Iterator[str]:
    spec, preprocessing = model.network.backbone.spec, model.preprocessing
    weights = f"pretrained, from {spec.source}" if spec.pretrained else "none: trained from random ones"
    facts = [
        ("backbone", spec.name),
        ("its pretrained weights", weights),
        ("features", spec.feature_dim),
        ("head", model.head.get("kind")),
        *_seen(preprocessing),
    ]
    yield from ("## Network", "", *_table(("what", "value"), facts))


def _seen(preprocessing: AnyInput) -> list[tuple[str, object]]:
    if isinstance(preprocessing, FeatureInput):
        return [("takes", f"features of the width {preprocessing.width}, from the network that made those of training")]
    size, resize = preprocessing.size, preprocessing.resize
    return [
        ("image", f"{size} x {size} pixels, cut from a shorter side of {resize}"),
        ("interpolation", preprocessing.interpolation),
    ]


def _training(model: Model) -> Iterator[str]:
    record = model.record
    options, schedule = record.get("options") or {}, record.get("schedule") or {}
    known = METHODS.get(model.method)
    frozen, chooses = record.get("regime") == "frozen", known is not None and known.needs_labels
    facts = [
        ("regime", regime_of(record)),
        ("backbone, before", _tuned(record.get("tuning"))),
        *(
            (name.replace("_", " "), schedule.get(name))
            for name in SCHEDULE
            if not (frozen and name == "backbone_factor")
        ),
        ("augmentation", options.get("augment")),
        ("precision", record.get("precision")),
        ("batch normalisation by", _NORMS.get(str(record.get("batch_norm")))),
        ("published recipe", options.get("preset")),
        *(
            (("epoch chosen by", options.get("select")), ("selected epoch", record.get("selected_epoch")))
            if chooses
            else ()
        ),
        ("seed", options.get("seed")),
        ("device", record.get("device")),
    ]
    yield from ("## Training", "", *_table(("what", "value"), [fact for fact in facts if fact[1] is not None]))
    recipe = record.get("recipe")
    if recipe is not None:
        yield from (f"The recipe is of: {escaped(recipe['citation'])}. What differs from the paper:", "")
        yield from (f"- {escaped(line)}" for line in recipe["differs"])
        yield from (
            f"- given for this model: {escaped(name)} {escaped(_plain(value))}"
            for name, value in recipe["instead"].items()
        )
        yield ""


def _tuned(tuning: Mapping[str, Any] | None) -> str | None:
    """Return what is said of the first of two steps; None where there was one."""
    if tuning is None:
        return None
    schedule = tuning["schedule"]
    told = ", ".join(f"{name.replace('_', ' ')} {schedule[name]}" for name in SCHEDULE[1:] if name in schedule)
    return f"tuned as a classifier, epoch {tuning['selected_epoch']} of {schedule['epochs']}; {told}"


def _figures(model: Model) -> Iterator[str]:
    record = model.record
    yield from ("## Figures", "")
    score, final = record.get("validation_map"), record.get("final")
    if not is_as_measured(record):
        yield from _unmeasured(record)
    elif final is not None:
        measured = final["measured"]
        yield f"None: the model is trained on all {final['n_images']} images, which cannot measure it."
        if measured["validation_map"] is not None:
            yield f"Its recipe, trained on {measured['n_train']} of them, had a tie-aware mean average precision of"
            yield f"{measured['validation_map']:.4f} on validation. Choices were made by that figure, and favour it."
    elif score is None:
        yield "None: the model was made without validation images that have labels."
    else:
        yield f"Tie-aware mean average precision on validation: {float(score):.4f}. Validation images were the queries,"
        yield f"{_searched(record.get('validation_searched'))}. Choices made by this figure favour it;"
        yield "`nearbit evaluate` measures on images that training has not seen."
    yield ""
    if is_as_measured(record):
        yield from _published(record.get("published") if final is None else final["measured"].get("published"))


def _unmeasured(record: Mapping[str, Any]) -> Iterator[str]:
    """Say why a model that was made of a trained one has no figures."""
    if whole := record.get("shortened_from"):
        yield f"None: its codes are the first bits of those of a model of {whole['n_bits']} bits, and so few were not"
        yield f"measured. That is the model `{escaped(whole['model_id'])}`."
    else:
        added = ", ".join(escaped(name) for name in moved_for(record))
        yield "None: after training the last layer was changed to add classes, and with it the codes of all images."
        yield f"They were not measured since. Added: {added}."
    if "final" in record:
        yield f"The model that it was made of is trained on all {record['final']['n_images']} images."


def _published(published: Mapping[str, Any] | None) -> Iterator[str]:
    """Say which epoch papers would have reported, where it was measured."""
    if published is None:
        return
    yield f"On the queries themselves the best epoch was {int(published['epoch'])}, with a tie-aware mean average"
    yield f"precision of {published['query_map']:.4f}: so papers choose, and such a figure favours itself."
    if published["query_map_of_selected"] is not None:
        yield f"The epoch that was kept had {published['query_map_of_selected']:.4f} on them."
    yield ""


def _made(recipe: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield how a split was made; of many unseen classes their number."""
    for name, value in recipe.items():
        is_long = isinstance(value, list) and len(value) > MOST_CLASSES
        yield name, counted(len(value), "entry", "entries") if is_long else value


def _searched(searched: object) -> str:
    """Return what validation images searched; older models, which do not tell, had them search training images."""
    if searched == "validation":
        return "and searched each other, each left out once"
    return "and training images, at most 5,000, the database"


def _centers(model: Model) -> Iterator[str]:
    if len(model.centers.centers) < 2:
        return
    lines = certify(model.centers.centers, model.similarity).lines()
    yield from ("## Hash centers", "", *(f"- {escaped(line)}" for line in lines), "")


def _files(files: Mapping[str, str]) -> Iterator[str]:
    yield from ("## Files", "", *_table(("file", "SHA-256"), sorted(files.items())))


def _limits(model: Model) -> Iterator[str]:
    yield from ("## Limits", "")
    yield "- Distances tell likeness as the training data has it; of images of another kind nothing was measured."
    yield "- Bits whose outputs lie near 0 can differ between devices and versions of libraries."
    yield "- Codes of models of another id cannot be compared with codes of this one."
    if not model.network.backbone.spec.pretrained:
        yield "- The backbone has seen the training images only."
    yield ""


def _dataset(model: Model) -> str:
    named = model.record.get("dataset") or (model.split.dataset if model.split is not None else None)
    return str(named) if named else "not recorded"


def _table(header: Sequence[str], rows: Sequence[tuple[object, object]]) -> list[str]:
    """Return the lines of a Markdown table and an empty one; nothing where there are no rows."""
    if not rows:
        return []
    lines = [header, ["---"] * len(header), *[[escaped(_plain(cell)) for cell in row] for row in rows]]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _plain(value: object) -> object:
    return "none" if value is None else json.dumps(value) if isinstance(value, dict | list | tuple | bool) else value
