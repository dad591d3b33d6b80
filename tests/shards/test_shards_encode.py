"""Shards in, a folder of codes out: what is there, what is not touched again, and what is refused."""

import contextlib
import json
import shutil

import numpy as np
import pytest
from deadly import deadly
from folders_of_codes import content, stamps

from model_makers import random_model
from nearbit.cli.main import run
from nearbit.codes import binarize
from nearbit.errors import BundleError, DataError, InputError
from nearbit.files.addresses import FilePlace
from nearbit.index.exchange import read_file
from nearbit.model.load import load_any_model
from nearbit.pool import run_in_processes
from nearbit.reading import ReadingOptions
from nearbit.shards import encode_shards, one
from nearbit.shards.job import Shard
from nearbit.shards.run import _run
from shard_makers import image_bytes, members_of, write_shards, write_table, write_tar

pa = pytest.importorskip("pyarrow", reason="shards of codes need the extra parquet")
import pyarrow.parquet as pq  # noqa: E402


def rows_of(folder):
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_every_image_has_its_row_with_the_code_that_the_model_gives(place):
    made = encode_shards("a.model", ["birds"], "codes", outputs=True)
    assert (made["items"], made["problems"], made["encoded_now"]) == (28, 0, 4)
    rows = rows_of(place / "codes")
    assert [row["id"] for row in rows] == [(number << 24) + row for number in range(4) for row in range(7)]
    names = [f"n{row % 3}/{row:04d}.png" for row in range(28)]
    shards = ["0000.tar/", "0001.tar/", "0002.parquet/", "0003.tar/"]
    assert [row["path"] for row in rows] == [shards[row // 7] + name for row, name in enumerate(names)]
    assert [row["labels"] for row in rows] == [["abc"[row % 3]] for row in range(28)]
    assert [json.loads(row["metadata"]) for row in rows] == [{"seen": row} for row in range(28)]
    for row in range(28):
        (place / f"{row}.png").write_bytes(image_bytes(row))
    outputs = load_any_model("a.model").outputs([place / f"{row}.png" for row in range(28)])
    np.testing.assert_allclose(np.array([row["outputs"] for row in rows]), outputs, rtol=1e-3, atol=1e-3)
    clear = (np.abs(outputs) > 0.01).all(axis=1)
    assert clear.sum() > 20
    codes = np.array([list(row["code"]) for row in rows], np.uint8)
    assert np.array_equal(codes[clear], binarize(outputs)[clear])
    assert len(np.unique(codes, axis=0)) > 10
    assert sorted(content(place / "codes")) == [
        *(f"000{number}.parquet" for number in range(4)),
        "_SUCCESS.json",
        "_codes.json",
    ]


def test_a_second_run_does_nothing(place, monkeypatch):
    encode_shards("a.model", ["birds"], "codes")
    before = stamps(place / "codes")
    monkeypatch.setattr("nearbit.shards.run._run_here", None)
    assert encode_shards("a.model", ["birds"], "codes")["encoded_now"] == 0
    assert stamps(place / "codes") == before


@pytest.mark.parametrize("how", ["processes", "addresses", "blocks"])
def test_whoever_encodes_the_files_are_the_same(place, monkeypatch, how):
    encode_shards("a.model", ["birds"], "codes")
    if how == "processes":
        encode_shards("a.model", ["birds/*.tar", "birds/0002.parquet"], "other", workers=2)
    elif how == "addresses":
        pytest.importorskip("fsspec", reason="addresses need the extra remote")
        for name, file in content(place / "birds").items():
            FilePlace.of("memory://of-encode/birds").child(name).write(file)
        encode_shards("a.model", ["memory://of-encode/birds"], "memory://of-encode/codes")
        assert encode_shards("a.model", ["memory://of-encode/birds/*"], "memory://of-encode/codes")["encoded_now"] == 0
        far = FilePlace.of("memory://of-encode/codes")
        (place / "other").mkdir()
        for name in far.files():
            far.child(name).fetch(place / "other" / name)
    else:
        encode_shards("a.model", [f"file://{place}/birds"], f"file://{place}/other")
    assert content(place / "other") == content(place / "codes")


def test_what_is_missing_is_made_and_nothing_else(place):
    encode_shards("a.model", ["birds"], "codes")
    whole, before = content(place / "codes"), stamps(place / "codes")
    (place / "codes" / "0001.parquet").unlink()
    (place / "codes" / "0002.parquet").write_bytes(whole["0002.parquet"][:-9])
    (place / "codes" / "_SUCCESS.json").unlink()
    assert encode_shards("a.model", ["birds"], "codes")["encoded_now"] == 2
    assert content(place / "codes") == whole
    after = stamps(place / "codes")
    assert {name for name in whole if after[name] == before[name]} == {"0000.parquet", "0003.parquet", "_codes.json"}


def test_new_shards_get_the_numbers_that_follow(place):
    encode_shards("a.model", ["birds"], "codes")
    before = content(place / "codes")
    write_tar(place / "birds" / "000.tar", members_of([77]))
    made = encode_shards("a.model", ["birds"], "codes")
    assert (made["encoded_now"], made["items"]) == (1, 29)
    after = content(place / "codes")
    assert all(after[name] == before[name] for name in before if name.endswith(".parquet"))
    assert read_file(place / "codes" / "000.parquet").ids.tolist() == [4 << 24]


def test_what_cannot_be_read_is_listed_and_keeps_its_number(place):
    write_tar(place / "birds" / "0001.tar", [
        ("a.png", b"no image"), ("b.png", image_bytes(1)), ("c.cls", b"x"), ("d.png", image_bytes(2)[:70]),
        ("e.npy", b""), ("f.png", image_bytes(3)), ("f.json", b'{"big": 100000000000000000000}'),
    ])  # fmt: skip
    made = encode_shards("a.model", ["birds"], "codes")
    assert (made["items"], made["problems"], made["passed_over"]) == (22, 4, {".npy": 1})
    assert read_file(place / "codes" / "0001.parquet").ids.tolist() == [(1 << 24) + 1]
    lines = (place / "codes" / "0001.errors.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["path"] for one in found] == ["0001.tar/a.png", "0001.tar/c", "0001.tar/d.png", "0001.tar/f.png"]
    assert "must fit 64 bits" in found[3]["reason"]
    assert encode_shards("a.model", ["birds"], "codes")["problems"] == 4


def test_a_shard_that_cannot_be_read_to_its_end_leaves_nothing_and_the_others_are_done(place):
    shard = place / "birds" / "0001.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        DataError, match=r"1 of 4 shards cannot be encoded, the others are done; the first: .*0001\.tar"
    ):
        encode_shards("a.model", ["birds"], "codes")
    assert sorted(content(place / "codes")) == ["0000.parquet", "0002.parquet", "0003.parquet", "_codes.json"]
    shard.write_bytes(whole)
    assert encode_shards("a.model", ["birds"], "codes")["encoded_now"] == 1
    encode_shards("a.model", ["birds"], "other")
    assert content(place / "other") == content(place / "codes")


def test_an_empty_shard_is_a_shard(place):
    write_tar(place / "birds" / "0001.tar", [])
    assert encode_shards("a.model", ["birds"], "codes")["items"] == 21
    assert pq.read_metadata(place / "codes" / "0001.parquet").num_rows == 0


def test_ids_of_a_table_are_kept(place):
    shutil.rmtree(place / "birds")
    (place / "birds").mkdir()
    write_table(place / "birds" / "a.parquet", range(3), id=[5, 2**62, 7], number=[1, 2, 3])
    write_table(place / "birds" / "b.parquet", range(2), id=[9, None])
    made = encode_shards("a.model", ["birds"], "codes")
    assert (made["items"], made["problems"]) == (4, 1)
    assert [row["id"] for row in rows_of(place / "codes")] == [5, 2**62, 7, 9]
    write_table(place / "birds" / "c.parquet", range(3))
    with pytest.raises(DataError, match=r"c\.parquet gives no ids, unlike the first shard of this folder"):
        encode_shards("a.model", ["birds"], "codes")
    options = ReadingOptions(id_column="number")
    with pytest.raises(DataError, match="was begun with --id-column 'id'"):
        encode_shards("a.model", ["birds"], "codes", options=options)
    encode_shards("a.model", ["birds/a.parquet"], "other", options=options)
    assert [row["id"] for row in rows_of(place / "other")] == [1, 2, 3]


def test_another_limit_of_pixels_or_folder_of_images_is_another_way_of_reading(place, monkeypatch):
    made = encode_shards("a.model", ["birds"], "small", options=ReadingOptions(max_pixels=20))
    assert made["items"] == 0
    with pytest.raises(DataError, match="was begun with --max-pixels 20: go on so"):
        encode_shards("a.model", ["birds"], "small")
    monkeypatch.setenv("NEARBIT_MAX_PIXELS", "20")
    assert encode_shards("a.model", ["birds"], "small")["encoded_now"] == 0
    monkeypatch.delenv("NEARBIT_MAX_PIXELS")
    for folder in ("one", "two"):
        (place / folder).mkdir()
        (place / folder / "x.png").write_bytes(image_bytes(len(folder) + ord(folder[0])))
    (place / "lists").mkdir()
    pq.write_table(pa.table({"path": ["x.png"]}), place / "lists" / "a.parquet")
    encode_shards("a.model", ["lists"], "named", options=ReadingOptions(images="one"))
    with pytest.raises(DataError, match="was begun with --images 'one': go on so"):
        encode_shards("a.model", ["lists"], "named", options=ReadingOptions(images="two"))
    plan = json.loads((place / "named" / "_codes.json").read_text())
    del plan["reading"]["images"], plan["reading"]["max_pixels"]  # as an older version wrote it
    (place / "named" / "_codes.json").write_text(json.dumps(plan))
    assert encode_shards("a.model", ["lists"], "named", options=ReadingOptions(images="one"))["encoded_now"] == 0


def test_the_limit_of_pixels_travels_with_the_job(place, monkeypatch):
    asked = []
    monkeypatch.setenv("NEARBIT_MAX_PIXELS", "1234")
    monkeypatch.setattr("nearbit.shards.run._engine", lambda engine, job, *_: asked.append(job) or (lambda *_: []))
    with contextlib.suppress(Exception):
        encode_shards("a.model", ["birds"], "codes")
    assert [job.options.max_pixels for job in asked] == [1234]


def test_the_codes_of_another_model_are_refused(place):
    random_model(seed=1).save("b.model")
    encode_shards("a.model", ["birds"], "codes")
    before = stamps(place / "codes")
    with pytest.raises(
        DataError, match=r"codes holds codes of 12 bits of the model .*, not of 12 bits of .*cannot be com"
    ):
        encode_shards("b.model", ["birds"], "codes")
    encode_shards("b.model", ["birds"], "others")
    shutil.copy(place / "others" / "0001.parquet", place / "codes" / "0001.parquet")
    with pytest.raises(DataError, match=r"0001\.parquet holds codes of the model"):
        encode_shards("a.model", ["birds"], "codes")
    assert {name: at for name, at in stamps(place / "codes").items() if name != "0001.parquet"} == {
        name: at for name, at in before.items() if name != "0001.parquet"
    }


def test_a_model_that_is_replaced_meanwhile_is_noticed(place, monkeypatch):
    first = one._opened
    random_model(seed=1).save("b.model")

    def replaced(job):
        random_model(seed=1).save("a.model")
        return first(job)

    monkeypatch.setattr(one, "_opened", replaced)
    with pytest.raises(BundleError, match="is another model than the one that encoding began with"):
        encode_shards("a.model", ["birds"], "codes")
    assert sorted(content(place / "codes")) == ["_codes.json"]


def two_of_one_name(place):
    write_shards(place / "more", n_shards=1)
    return {"sources": ["birds", "more"]}, r"0000\.tar and .*0000\.tar would both become 0000\.parquet"


def another_shard_of_the_name(place):
    encode_shards("a.model", ["birds"], "codes")
    write_shards(place / "more", n_shards=1, per_shard=30)
    return {"sources": ["more"]}, r"0000\.parquet was made of a shard of 30,720 bytes, and .*more/0000\.tar has 102,400"


def another_shard_of_the_name_and_the_length(place):
    encode_shards("a.model", ["birds"], "codes")
    write_tar(place / "more" / "0000.tar", members_of(range(1, 8)))
    assert (place / "more" / "0000.tar").stat().st_size == (place / "birds" / "0000.tar").stat().st_size
    return {"sources": ["more"]}, r"0000\.parquet was made of a shard that begins in another way than .*more/0000\.tar"


def into_itself(place):
    return {"output": "birds"}, r"0000\.tar lies in the folder that codes are to go into"


def other_files(place):
    (place / "codes").mkdir()
    write_table(place / "codes" / "x.parquet", range(2))
    return {}, r"codes holds x\.parquet and no _codes\.json"


def a_foreign_table(place):
    encode_shards("a.model", ["birds"], "codes")
    write_table(place / "codes" / "0001.parquet", range(2))
    return {}, r"0001\.parquet is no file of codes of a shard"


def nothing_there(place):
    (place / "empty").mkdir()
    return {"sources": ["empty"]}, r"empty: no shards there; expected files ending in \.tar or \.parquet"


def without_outputs(place):
    encode_shards("a.model", ["birds"], "codes")
    return {"outputs": True}, "codes was begun without --outputs"


def a_newer_plan(place):
    encode_shards("a.model", ["birds"], "codes")
    plan = place / "codes" / "_codes.json"
    plan.write_text(plan.read_text().replace('"version": 1', '"version": 2'))
    return {}, r"_codes\.json has the version 2; this nearbit reads 1: update it"


def a_plan_that_leads_elsewhere(place):
    encode_shards("a.model", ["birds"], "codes")
    plan = place / "codes" / "_codes.json"
    plan.write_text(plan.read_text().replace('"0001.parquet"', '"../0001.parquet"'))
    return {}, r"_codes\.json cannot be: its shards is missing"


def a_part_of_what_was_begun(place):
    encode_shards("a.model", ["birds"], "codes")
    (place / "codes" / "0001.parquet").unlink()
    (place / "codes" / "_SUCCESS.json").unlink()
    return {
        "sources": ["birds/0000.tar"]
    }, r"but 1 that were named before are missing from codes, such as 0001\.parquet"


@pytest.mark.parametrize(
    "case",
    [
        two_of_one_name, another_shard_of_the_name,
        another_shard_of_the_name_and_the_length, into_itself, other_files, a_foreign_table, nothing_there,
        without_outputs, a_newer_plan, a_plan_that_leads_elsewhere, a_part_of_what_was_begun,
    ],
)  # fmt: skip
def test_what_would_mix_or_lose_codes_is_refused(place, case):
    asked, message = case(place)
    before = content(place / "codes") if (place / "codes").is_dir() else {}
    asked = {"sources": ["birds"], "output": "codes"} | asked
    with pytest.raises(DataError, match=message):
        encode_shards("a.model", asked.pop("sources"), asked.pop("output"), **asked)
    assert (content(place / "codes") if (place / "codes").is_dir() else {}) == before


def test_a_shard_that_is_gone_is_missed_though_all_was_complete(place):
    encode_shards("a.model", ["birds"], "codes")
    (place / "codes" / "0001.parquet").unlink()
    with pytest.raises(DataError, match=r"1 that were named before are missing from codes, such as 0001\.parquet"):
        encode_shards("a.model", ["birds/0000.tar"], "codes")
    assert not (place / "codes" / "_SUCCESS.json").exists()
    assert encode_shards("a.model", ["birds"], "codes")["encoded_now"] == 1


def test_memory_is_of_one_process(place):
    pytest.importorskip("fsspec", reason="addresses need the extra remote")
    with pytest.raises(InputError, match="take --workers 1"):
        encode_shards("a.model", ["birds"], "memory://codes", workers=2)
    with pytest.raises(InputError, match="engine must be plain or ray, and workers at least 1"):
        encode_shards("a.model", ["birds"], "codes", workers=0)


def test_blocks_follow_from_the_shard_alone(place, monkeypatch):
    monkeypatch.setattr(one, "BLOCK", 3)
    encode_shards("a.model", ["birds"], "codes")
    assert pq.ParquetFile("codes/0000.parquet").num_row_groups == 3
    assert len(rows_of(place / "codes")) == 28


def test_a_shard_that_kills_its_process_again_and_again_is_given_up(tmp_path):
    shards = [Shard(str(tmp_path / f"{number}.tar"), f"{number}.parquet", number) for number in range(4)]
    done = {}

    def run(shards, answered, died):
        run_in_processes(deadly, shards, 2, answered=answered, died=died)

    with pytest.raises(
        DataError, match=r"1 of 4 shards .*1\.tar: its process ended without a word 5 times \(exit code 7\)"
    ):
        _run(run, shards, 4, done, lambda *_: None)
    assert sorted(done) == ["0.parquet", "2.parquet", "3.parquet"]


def test_the_command(place, capsys):
    assert run(["encode", "a.model", "birds", "-o", "codes", "--workers", "2", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["codes"], made["shards"], made["items"], made["n_bits"], made["encoded_now"]) == (
        "codes",
        4,
        28,
        12,
        4,
    )
    assert run(["encode", "a.model", "birds", "-o", "codes"]) == 0
    assert capsys.readouterr().out == "codes: 28 codes of 12 bits in 4 shards (0 now)\n"
    assert run(["encode", "a.model", "birds", "-o", "birds.npz"]) == 0
    assert len(np.load("birds.npz")["codes"]) == 28


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["birds", "-o", "a.npz", "--workers", "2"],
            "--workers goes with shards (.tar, .parquet) and a folder to write",
        ),
        (["birds", "-o", "codes", "--class-level", "leaf"], "--class-level does nothing for shards: leave it out"),
        (["birds", "-o", "codes", "--engine", "spark"], "'spark' is not one of 'plain', 'ray'"),
        (["none.tar", "-o", "codes"], "none.tar: there is no such"),
    ],
)
def test_mistakes_on_the_command_line(place, capsys, arguments, message):
    assert run(["encode", "a.model", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_shards_are_trained_on(place):
    tiny = ["--image-size", "8", "--epochs", "1", "--bits", "12", "--device", "cpu", "--batch-size", "8"]
    write_shards(place / "many", n_shards=4, per_shard=12, parquet=(1,))
    assert run(["train", "many", "--method", "crh", *tiny, "-o", "t.model"]) == 0
    assert run(["evaluate", "t.model", "many"]) == 0
