"""The folder of codes: whose codes it holds, which shards it is made of, and what is complete there.

| file | holds |
|---|---|
| `_codes.json` | format, model, code length, how shards were read, and the shards in the order of their numbers |
| `NAME.parquet` | the codes of the shard NAME; it is there once it is whole |
| `NAME.errors.jsonl` | what was skipped of it, where anything was |
| `_SUCCESS.json` | counts of all shards; it is there while none is missing |
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from nearbit.datasets.decoding.pixel_limit import pixel_limit
from nearbit.datasets.shards import Passed
from nearbit.errors import DataError
from nearbit.files.addresses import FilePlace
from nearbit.files.arrow import arrow_errors, arrow_library
from nearbit.index.exchange.codes_table import KEY, PURPOSE, SHARD_KEY, CodesAbout, about_of
from nearbit.index.exchange.folder import FORMAT, VERSION
from nearbit.json_text import parse_json
from nearbit.reading import ReadingOptions
from nearbit.shards.job import Encoded

PLAN = "_codes.json"
LARGEST_PLAN = 2**28
READING = ("image_column", "path_column", "label_column", "id_column", "separator")
"""The options of reading that decide what a file of codes holds."""


@final
@dataclass(frozen=True, kw_only=True)
class Plan:
    """What `_codes.json` says.

    Attributes:
        about: code length, model and outputs.
        has_ids: whether the shards give ids.
        reading: the options of reading that count, by name.
        names: the files of codes, by the numbers of their shards.
    """

    about: CodesAbout
    has_ids: bool
    reading: dict[str, Any]
    names: tuple[str, ...]

    def to_json(self) -> bytes:
        """Return the content of `_codes.json`."""
        said = {
            "format": FORMAT, "version": VERSION, "n_bits": self.about.n_bits, "model_id": self.about.model_id,
            "outputs": self.about.outputs, "has_ids": self.has_ids, "reading": self.reading, "shards": list(self.names),
        }  # fmt: skip
        return (json.dumps(said, indent=1) + "\n").encode()

    def with_names(self, names: Sequence[str]) -> "Plan":
        """Return the plan with these files, too; new ones get the numbers that follow."""
        known = set(self.names)
        return replace(self, names=(*self.names, *(name for name in names if name not in known)))


def reading_of(options: ReadingOptions) -> dict[str, Any]:
    """Return the options of reading that decide what a file of codes holds."""
    images = None if options.images is None else str(options.images)
    named = {name: getattr(options, name) for name in READING}
    return named | {"images": images, "max_pixels": pixel_limit(options.max_pixels)}


def read_plan(folder: FilePlace) -> Plan | None:
    """Return the plan of a folder; None where it has none, and no files of codes either.

    Raises:
        DataError: files of codes without a plan, or a plan that cannot be.
    """
    file = folder.child(PLAN)
    if file.found() is None:
        stray = next((name for name in folder.files() if name.endswith(".parquet")), None)
        if stray is not None:
            raise DataError(f"{folder} holds {stray} and no {PLAN}, so it is no folder of codes: name another one")
        return None
    said = parse_json(file.read(LARGEST_PLAN), str(file), DataError)
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise DataError(f"{file} describes no folder of codes")
    if said.get("version") != VERSION:
        raise DataError(f"{file} has the version {said.get('version')!r}; this nearbit reads {VERSION}: update it")
    names, fields = said.get("shards"), {"n_bits": int, "has_ids": bool, "reading": dict, "model_id": str}
    wrong = [name for name, kind in fields.items() if not isinstance(said.get(name), kind)]
    if wrong or not isinstance(names, list) or not all(_is_name(name) for name in names):
        raise DataError(f"{file} cannot be: its {(wrong or ['shards'])[0]} is missing, or of another kind")
    about = CodesAbout(n_bits=said["n_bits"], model_id=said["model_id"], outputs=said.get("outputs"))
    return Plan(about=about, has_ids=said["has_ids"], reading=said["reading"], names=tuple(names))


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.endswith(".parquet") and "/" not in name and not name.startswith((".", "_"))


def check_same(plan: Plan, about: CodesAbout, options: ReadingOptions, folder: FilePlace) -> None:
    """Raise `DataError` where a folder holds codes of another model, or shards that were read in another way."""
    if plan.about.model_id != about.model_id or plan.about.n_bits != about.n_bits:
        raise DataError(
            f"{folder} holds codes of {plan.about.n_bits} bits of the model {plan.about.model_id}, not of "
            f"{about.n_bits} bits of {about.model_id}: codes of different models cannot be compared: name another"
        )
    if plan.about.outputs != about.outputs:
        kept = "with" if plan.about.outputs else "without"
        raise DataError(f"{folder} was begun {kept} --outputs: go on so, or name another folder")
    for name, value in reading_of(options).items():
        if name in plan.reading and plan.reading[name] != value:  # older plans do not say all of them
            option = f"--{name.replace('_', '-')}"
            raise DataError(f"{folder} was begun with {option} {plan.reading.get(name)!r}: go on so, or name another")


def file_of_codes(place: FilePlace, about: CodesAbout) -> Encoded | None:
    """Return what a file of codes says of its shard; None where there is no such file, or it is damaged.

    Raises:
        DataError: it holds codes of another model, or is a file of something else.
    """
    if place.found() is None:
        return None
    try:
        with place.opened() as handle, arrow_errors(str(place), DataError, "a Parquet file"):
            file = arrow_library(PURPOSE).parquet.ParquetFile(handle)
            schema, said, n_items = file.schema_arrow, file.metadata.metadata or {}, file.metadata.num_rows
    except DataError:
        return None  # what was written whole and is damaged now is made anew
    found = about_of(schema, str(place)) if KEY in (schema.metadata or {}) else None
    if found is None or SHARD_KEY not in said:
        raise DataError(f"{place} is no file of codes of a shard: take it away, or name another folder")
    if found != about:
        raise DataError(
            f"{place} holds codes of the model {found.model_id} ({found.n_bits} bits), not of {about.model_id}: take "
            "it away, or name another folder"
        )
    return _encoded(said[SHARD_KEY], n_items, place)


def _encoded(text: bytes, n_items: int, place: FilePlace) -> Encoded:
    said = parse_json(text, f"what {place} says of its shard", DataError)
    passed = said.get("passed") if isinstance(said, dict) else None
    kinds = {"problems": int, "bytes": int, "head": str, "number": int | None}
    if not isinstance(passed, dict) or not _are(said, kinds):
        raise DataError(f"{place} says of its shard what cannot be: {str(said)[:100]}")
    facts = {name: said.get(name) for name in kinds}
    return Encoded(items=n_items, passed=passed, **facts)


def _are(said: dict[str, Any], kinds: dict[str, Any]) -> bool:
    return all(isinstance(said.get(name), kind) for name, kind in kinds.items())


def success_of(plan: Plan, done: dict[str, Encoded]) -> dict[str, Any]:
    """Return the content of `_SUCCESS.json`."""
    passed = Passed()
    for one in done.values():
        passed.update(one.passed)
    return {
        "format": FORMAT,
        "version": VERSION,
        "n_bits": plan.about.n_bits,
        "model_id": plan.about.model_id,
        "items": sum(one.items for one in done.values()),
        "problems": sum(one.problems for one in done.values()),
        "passed_over": dict(sorted(passed.items())),
        "shards": {
            name: {"items": done[name].items, "problems": done[name].problems, "source_bytes": done[name].bytes}
            for name in plan.names
        },
    }
