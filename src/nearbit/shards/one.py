"""One shard encoded: read block by block, the next one while the network works, and written whole or not at all."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from nearbit.codes import binarize
from nearbit.datasets import Dataset, content_digest, open_image
from nearbit.datasets.shards import Passed, Sample, read_shard
from nearbit.errors import BundleError, DataError, InputError, NearbitError, said_of
from nearbit.files.addresses import FilePlace
from nearbit.files.arrow import arrow_library
from nearbit.index.arguments import fields_of
from nearbit.index.exchange.codes_table import PURPOSE, SHARD_KEY, CodesRows, schema_of, table_of
from nearbit.index.exchange.parquet import WRITING
from nearbit.shards.job import ROW_BITS, Encoded, Job, Shard, errors_name, head_of

if TYPE_CHECKING:
    from nearbit.model.bundle import Model
    from nearbit.model.onnx import OnnxModel

BLOCK = 2048
BLOCK_BYTES = 2**28
"""Images, and bytes of them, above which a block is complete: a block and the next one are in memory at once."""

MANY = 2**20
"""More images than any for which making a network for ONNX Runtime would not pay: shards are chosen for alike."""


@dataclass(frozen=True, eq=False)
class _Bytes:
    """Image files in memory, as a source of images."""

    files: tuple[bytes, ...]
    max_pixels: int | None

    def __len__(self) -> int:
        return len(self.files)

    def read(self, row: int, at_least: int | None = None) -> Image.Image:
        """Return one image in mode "RGB", upright; raise `ImageError` with the reason where it cannot be read."""
        return open_image(self.files[row], at_least, max_pixels=self.max_pixels)


def encoder_of(job: Job) -> Callable[[Shard], Encoded]:
    """Open the model of a job, once for many shards, and return what encodes one of them."""
    model = _opened(job)

    def encode(shard: Shard) -> Encoded:
        try:
            return encode_shard(model, job, shard)
        except (NearbitError, OSError) as error:
            return Encoded(error=said_of(error))

    return encode


def _opened(job: Job) -> "Model | OnnxModel":
    """Return the model of a job: on the CPU a trained one's own network for ONNX Runtime, where it has one."""
    from nearbit.model.load import load_any_model, load_for_queries, settle
    from nearbit.model.manifest import EXPORTED, kind_of

    device = job.device
    if device == "auto" and kind_of(Path(job.model)) != EXPORTED:
        from nearbit.encoding.torch_backend import find_device

        device = str(find_device(device))
    model = load_for_queries(job.model, device="cpu") if device == "cpu" else load_any_model(job.model)
    if model.model_id != job.about.model_id:
        raise BundleError(f"{job.model} is another model than the one that encoding began with: put that back")
    settle(model, device)
    return model


def encode_shard(model: "Model | OnnxModel", job: Job, shard: Shard) -> Encoded:
    """Encode a shard into its file of codes, whole or not at all; the same shard gives the same bytes.

    Raises:
        NearbitError: the shard cannot be read to its end, or the place of the codes not be written; nothing is there.
    """
    found = shard.place.found()
    if found is None:
        raise DataError(f"{shard.source}: there is no such shard")
    task = _Task(model, job, shard, found.size, head_of(shard.place))
    folder = FilePlace.of(job.output)
    folder.child(shard.name).fill(task.write)
    return task.encoded


class _Task:
    """The encoding of one shard: its file is filled by `write`; `encoded` says what became of it."""

    def __init__(self, model: "Model | OnnxModel", job: Job, shard: Shard, size: int, head: str) -> None:
        self._model, self._job, self._shard = model, job, shard
        self._problems: list[tuple[int, str, str]] = []
        self._passed = Passed()
        self._size, self._head, self._items = size, head, 0

    @property
    def encoded(self) -> Encoded:
        passed = dict(sorted(self._passed.items()))
        counts: dict[str, Any] = {"items": self._items, "problems": len(self._problems), "passed": passed}
        return Encoded(bytes=self._size, head=self._head, number=self._shard.number, **counts)

    def write(self, aside: Path) -> None:
        """Write the codes of the shard to a file, and what was skipped to its own place."""
        schema = schema_of(self._job.about)
        samples = read_shard(self._shard.place, self._job.options, self._passed)
        with arrow_library(PURPOSE).parquet.ParquetWriter(aside, schema, **WRITING) as writer:
            for block in _ahead(_blocks(samples)):
                table = self._encoded(block, schema)
                self._items += len(table)
                writer.write_table(table)
            said = asdict(self.encoded) | {"source": self._shard.place.name}
            writer.add_key_value_metadata({SHARD_KEY: json.dumps(said, sort_keys=True).encode()})
        self._write_problems()

    def _encoded(self, block: list[Sample], schema: Any) -> Any:
        """Return the table of a block of samples; what is wrong with some goes into the problems."""
        fields = {sample.row: self._fields(sample) for sample in block}
        good = [sample for sample in block if fields[sample.row] is not None]
        keys, digests = tuple(one.key for one in good), tuple(content_digest(one.image) for one in good)
        source = _Bytes(tuple(one.image for one in good), self._job.options.max_pixels)
        data = Dataset(self._shard.name, source, keys, np.zeros((len(good), 0), np.bool_), (), digests)
        found = self._model.encode_dataset(data, device=self._job.device, total=MANY)
        rows = [good[row] for row in found.rows]
        reasons = {one.path: one.reason for one in found.problems}
        self._problems += [(one.row, one.path, reasons[one.key]) for one in good if one.key in reasons]
        outputs = found.outputs.reshape(-1, self._job.about.n_bits)
        said: list[Any] = [fields[one.row] for one in rows]
        return table_of(
            CodesRows(
                ids=np.array([self._id(one) for one in rows], np.int64),
                codes=binarize(outputs),
                paths=[one.path for one in rows],
                labels=[one.labels for one in rows],
                metadata=said,
                digests=[digests[row] for row in found.rows],
                outputs=outputs if self._job.about.outputs else None,
            ),
            schema,
        )

    def _fields(self, sample: Sample) -> str | None:
        """Return the metadata of a sample as JSON, "{}" for none; None after noting why it has to be skipped."""
        if not sample.problem and (sample.id is not None) != self._job.has_ids:
            raise DataError(
                f"{self._shard.source} gives {'ids' if sample.id is not None else 'no ids'}, unlike the first shard of "
                "this folder: name another --id-column, or encode it into another folder"
            )
        try:
            problem, text = sample.problem, fields_of(sample.metadata | {"path": sample.path}, sample.row)[2]
        except InputError as error:
            problem, text = str(error), ""
        if problem:
            self._problems.append((sample.row, sample.path, problem))
            return None
        return text

    def _id(self, sample: Sample) -> int:
        if sample.id is not None:
            return sample.id
        if sample.row >= 1 << ROW_BITS:
            raise DataError(f"{self._shard.source} has more than {1 << ROW_BITS:,} images: cut it into smaller shards")
        return (self._shard.number << ROW_BITS) + sample.row

    def _write_problems(self) -> None:
        place = FilePlace.of(self._job.output).child(errors_name(self._shard.name))
        lines = [
            json.dumps({"path": path, "reason": reason}, ensure_ascii=False)
            for _, path, reason in sorted(self._problems)
        ]
        if lines:
            place.write("".join(f"{line}\n" for line in lines).encode())
        else:
            place.remove()


def _blocks(samples: Iterator[Sample]) -> Iterator[list[Sample]]:
    """Yield samples in blocks that follow from the shard alone."""
    block: list[Sample] = []
    size = 0
    for sample in samples:
        block.append(sample)
        size += len(sample.image)
        if len(block) >= BLOCK or size >= BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _ahead(blocks: Iterator[list[Sample]]) -> Iterator[list[Sample]]:
    """Yield blocks, while the next one is read in a thread."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, blocks, None)
            yield block
