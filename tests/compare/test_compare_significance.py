import numpy as np
import pytest
from cell_files import FLIPS, Scene, group_of, write_cell, write_comparison_folder, write_done, write_failed

from nearbit.compare.findings import differ_in_one_thing, find
from nearbit.compare.folder import Cell, read_folder
from nearbit.compare.significance import differences_of, shared_seeds
from nearbit.compare.statistics import Row, holm
from nearbit.errors import DataError


def cell_of(method, seed, n_bits=12):
    return Cell(method=method, head="linear", n_bits=n_bits, seed=seed)


def write_two(folder, *, seeds=(0, 1, 2), flips=(0.15, 0.35), scene=None):
    """Write cells of two methods, crh the better one, and return their groups."""
    for seed in seeds:
        for method, flip in zip(("crh", "csq"), flips, strict=True):
            write_done(folder, cell_of(method, seed), flip=flip, scene=scene)
    return [group_of(folder, method) for method in ("crh", "csq")]


def compare(*pairs, seed=0, n_samples=999):
    return differences_of(pairs, rng=np.random.default_rng(seed), n_samples=n_samples)


def test_a_difference_is_that_of_the_mean_average_precision(tmp_path):
    first, second = write_two(tmp_path)
    ((found,), notes) = compare((first, second))
    means = [[result.arrays()["average_precision"].mean() for result in group.results] for group in (first, second)]
    assert found.difference == pytest.approx(np.mean(means[0]) - np.mean(means[1]), abs=1e-6)
    assert found.low < found.difference < found.high
    assert found.low > 0
    assert found.p == 2 / 1000
    assert (found.seeds, found.seeds_won, found.resampled) == ((0, 1, 2), 3, "seeds and queries")
    assert notes == []


def test_methods_of_the_same_codes_do_not_differ(tmp_path):
    for seed in (0, 1):
        write_done(tmp_path, cell_of("crh", seed))
        write_done(tmp_path, cell_of("csq", seed), same_as=cell_of("crh", seed))
    ((found,), _) = compare((group_of(tmp_path, "crh"), group_of(tmp_path, "csq")))
    assert (found.difference, found.low, found.high, found.p, found.seeds_won) == (0, 0, 0, 1, 0)


def test_swapping_two_methods_negates_their_difference(tmp_path):
    first, second = write_two(tmp_path, flips=(0.24, 0.25))
    ((forth,), _), ((back,), _) = compare((first, second)), compare((second, first))
    assert back.difference == -forth.difference
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low), abs=1e-15)
    assert back.p == forth.p < 1
    assert back.seeds_won == 3 - forth.seeds_won


def test_only_seeds_that_both_have_done_are_compared(tmp_path):
    write_two(tmp_path, seeds=(0, 2))
    write_done(tmp_path, cell_of("crh", 1))
    write_failed(tmp_path, cell_of("csq", 1), "no")
    groups = [group_of(tmp_path, method) for method in ("crh", "csq")]
    ((found,), _) = compare(groups)
    assert found.seeds == (0, 2)


def test_with_one_seed_only_queries_are_resampled(tmp_path):
    ((found,), _) = compare(write_two(tmp_path, seeds=(1,)))
    assert found.resampled == "queries"


def test_methods_without_a_seed_in_common_are_not_compared(tmp_path):
    write_done(tmp_path, cell_of("crh", 0))
    write_done(tmp_path, cell_of("csq", 1))
    groups = [group_of(tmp_path, method) for method in ("crh", "csq")]
    with pytest.raises(DataError, match="crh, linear and csq, linear at 12 bits are not compared: no seed is done"):
        shared_seeds(*groups)
    assert compare(groups)[0] == []


def test_methods_of_different_splits_are_not_compared(tmp_path):
    write_two(tmp_path)
    write_done(tmp_path, cell_of("csq", 1), split_hash="another")
    groups = [group_of(tmp_path, method) for method in ("crh", "csq")]
    found, notes = compare(groups, (groups[0], groups[0]))
    assert [(item.first, item.second) for item in found] == [(groups[0].row, groups[0].row)]
    assert len(notes) == 1
    assert "their split hashes at seed 1 differ" in notes[0]


def test_methods_of_different_queries_are_not_compared(tmp_path):
    write_two(tmp_path)
    write_done(tmp_path, cell_of("csq", 2), scene=Scene(n_query=39))
    _, notes = compare([group_of(tmp_path, method) for method in ("crh", "csq")])
    assert len(notes) == 1
    assert "the same queries at seed 2, and they have 40 and 39" in notes[0]


@pytest.mark.parametrize("content", [None, b"", b"PK broken", "a byte of its content"])
def test_a_cell_with_a_damaged_file_of_arrays_is_named(tmp_path, content):
    first, second = write_two(tmp_path)
    path = second.results[1].arrays_path
    if content is None:
        path.unlink()
    elif isinstance(content, str):
        whole = bytearray(path.read_bytes())
        place = whole.index(b"average_precision.npy") + 60
        whole[place : place + 30] = bytes(30)
        path.write_bytes(whole)
    else:
        path.write_bytes(content)
    found, notes = compare((first, second))
    assert found == []
    assert len(notes) == 1
    assert f"cells/{path.name} cannot be read: repeat the comparison" in notes[0]
    assert str(tmp_path) not in notes[0], "reports show it, and they name no machine's folders"


def test_pairs_come_back_in_the_order_given_whatever_seeds_they_share(tmp_path):
    for seed in range(3):
        for method in FLIPS:
            if (method, seed) != ("shc", 0):
                write_done(tmp_path, cell_of(method, seed), flip=FLIPS[method])
    groups = {method: group_of(tmp_path, method) for method in FLIPS}
    pairs = [("crh", "shc"), ("crh", "csq"), ("csq", "shc"), ("itq", "crh")]
    found, _ = compare(*[(groups[a], groups[b]) for a, b in pairs])
    assert [(item.first.method, item.second.method) for item in found] == pairs
    assert [len(item.seeds) for item in found] == [2, 3, 2, 3]


def test_the_same_hard_queries_at_every_seed_count_once(tmp_path):
    rng = np.random.default_rng(0)
    hard = rng.random(50)
    widths = {}
    for hashes in ("one one one one", "a b c d"):
        for seed, split_hash in enumerate(hashes.split()):
            for method, values in (("crh", hard), ("csq", np.full(50, 0.5))):
                facts = {"status": "done", "report": {"tie_aware_map": values.mean()}, "split_hash": split_hash}
                write_cell(tmp_path, cell_of(method, seed), facts, {"average_precision": values})
        pair = [group_of(tmp_path, method, seeds=range(4)) for method in ("crh", "csq")]
        ((found,), _) = compare(pair, n_samples=4999)
        widths[hashes] = found.high - found.low
    assert widths["one one one one"] == pytest.approx(2 * widths["a b c d"], rel=0.1)


def test_the_best_of_each_length_and_what_is_not_significantly_below_it(tmp_path):
    findings = find(write_comparison_folder(tmp_path))
    for column in findings.columns:
        means = {row: group.spread("report.tie_aware_map").mean for row, group in column.groups.items()}
        best = max(means, key=means.get)
        assert column.best == (best,)
        assert [item.difference.first for item in column.behind] == [best] * 3
        assert [item.adjusted for item in column.behind] == holm([item.difference.p for item in column.behind])
        assert column.near_best() == {item.difference.second for item in column.behind if item.adjusted >= 0.05}
        assert Row("itq", "-") not in column.near_best()
        assert column.untested() == []
        assert len(column.pairs) == 6


def test_a_row_that_is_above_the_best_on_the_seeds_of_both_is_not_called_below_it(tmp_path):
    seeds = (0, 1, 2)
    skip = [cell_of(method, seed).name for method in ("crh", "shc", "csq") for seed in seeds]
    write_comparison_folder(tmp_path, bits=(12,), seeds=seeds, skip=skip)
    rng = np.random.default_rng(0)
    for seed, level in zip(seeds, (0.45, 0.45, 0.9), strict=True):
        values = level + rng.random(40) / 10
        for method, own in [("crh", values), *([("csq", values - 0.05)] if seed == 2 else [])]:
            facts = {"status": "done", "report": {"tie_aware_map": own.mean()}, "split_hash": f"split{seed}"}
            write_cell(tmp_path, cell_of(method, seed), facts, {"average_precision": own})
    (column,) = find(read_folder(tmp_path)).columns
    assert column.best == (Row("csq", "linear"),)
    behind = {item.difference.second.method: item for item in column.behind}
    assert behind["crh"].difference.difference == pytest.approx(-0.05)
    assert behind["crh"].adjusted < 0.05
    assert column.near_best() == {Row("crh", "linear")}


def test_another_length_changes_no_p(tmp_path):
    one = find(write_comparison_folder(tmp_path, bits=(12,)))
    two = find(write_comparison_folder(tmp_path, bits=(12, 16)))
    assert [item.to_dict() for item in one.columns[0].pairs] == [item.to_dict() for item in two.columns[0].pairs]


def test_rows_of_equal_means_are_all_the_best(tmp_path):
    twins = ("crh", "shc")
    skip = [cell_of(method, 0).name for method in twins]
    write_comparison_folder(tmp_path, bits=(12,), seeds=(0,), skip=skip)
    for method in twins:
        write_done(tmp_path, cell_of(method, 0), flip=0.01, same_as=cell_of("crh", 0))
    (column,) = find(read_folder(tmp_path)).columns
    assert column.best == (Row("crh", "linear"), Row("shc", "linear"))
    assert [item.difference.second.method for item in column.behind] == ["shc", "csq", "itq"]


def test_rows_that_differ_in_one_thing_are_compared():
    rows = [Row("crh", "linear"), Row("crh", "hidden"), Row("shc", "linear"), Row("itq", "-"), Row("shc", "hidden")]
    pairs = [(a, b) for a in range(5) for b in range(a) if not differ_in_one_thing(rows[a], rows[b])]
    assert pairs == [(2, 1), (4, 0)]
