"""What a person at a prompt sees: short texts, near names, seeds, an index in memory, results as a table."""

import re
import sys
import types

import numpy as np
import pytest
from PIL import Image

import nearbit as nb
from nearbit.codes import pack
from nearbit.errors import IndexFileError, InputError, MissingExtraError
from nearbit.keywords import generator_of
from tiny_data import tiny_dataset, tiny_split

CODES = pack(np.where(np.random.default_rng(0).random((20, 16)) < 0.5, -1, 1).astype(np.int8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nb.TrainOptions(epoch=3), "TrainOptions has no option 'epoch'. Did you mean 'epochs'"),
        (lambda: nb.SplitSizes(querry=0.1), "SplitSizes has no option 'querry'. Did you mean 'query'"),
        (
            lambda: nb.load_dataset("digits", max_pixel=3),
            "ReadingOptions has no option 'max_pixel'. Did you mean 'max_pixels'",
        ),
        (lambda: nb.train(None, None, bits=32), "train has no option 'bits'. Did you mean 'n_bits'"),
        (lambda: nb.train(None, None, metod="crh"), "train has no option 'metod'. Did you mean 'method'"),
        (lambda: nb.make_split(None, seeds=1), "make_split has no option 'seeds'. Did you mean 'seed'"),
        (
            lambda: nb.evaluate(None, None, conventions=1),
            "evaluate has no option 'conventions'. Did you mean 'convention'",
        ),
        (
            lambda: nb.evaluate_codes(querycodes=1),
            "evaluate_codes has no option 'querycodes'. Did you mean 'query_codes'",
        ),
        (lambda: nb.make_centers("csq", nclasses=1), "make_centers has no option 'nclasses'. Did you mean 'n_classes'"),
        (lambda: nb.create_index(None, nbits=1), "create_index has no option 'nbits'. Did you mean 'n_bits'"),
        (lambda: nb.from_features([[1.0]], label=1), "from_features has no option 'label'. Did you mean 'labels'"),
        (lambda: nb.open_index("x", zzz=1), "open_index has no option 'zzz'. It takes path, model_id, read_only"),
        (lambda: nb.create_index(None, 16).search(CODES, ks=1), "search has no option 'ks'. Did you mean 'k'"),
    ],
)
def test_a_misspelt_option_names_the_near_one(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_texts_are_short():
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    options = nb.TrainOptions(image_size=8, epochs=1, batch_size=8, device="cpu")
    model = nb.train(dataset, split, method="csq", n_bits=16, options=options)
    index = nb.create_index(None, 16)
    index.add(CODES)
    results = index.search(CODES, k=7)
    assert repr(dataset) == "Dataset('tiny': 30 images, 3 classes)"
    assert re.fullmatch(r"Split\('tiny': \d+ train, \d+ validation, \d+ query, \d+ database\)", repr(split))
    assert repr(model) == "Model('csq': 16 bits, 3 classes, backbone 'small')"
    assert repr(index) == "Index(in memory: 20 items, 16 bits)"
    assert repr(results).startswith("Results(20 queries, 140 hits; the first: 1 at 0, ")
    assert re.match(r"Evaluation\(tie_aware_map \d", repr(nb.evaluate(model, dataset)))
    assert max(len(repr(one)) for one in (dataset, split, model, index, results)) < 120
    index.close()
    assert repr(index) == "Index(in memory: closed, 16 bits)"


def test_an_index_in_memory_is_a_whole_index_and_leaves_nothing():
    with nb.create_index(None, n_bits=16, model_id="m", outputs="int8") as index:
        folder = index.path.parent
        assert folder.is_dir()
        index.add(CODES, outputs=np.zeros((20, 16)))
        assert index.search(CODES[:1], k=1).ids.tolist() == [[1]]
        assert index.remove([1]) == 1
        assert (index.model_id, len(index), index.verify()) == ("m", 19, [])
    assert not folder.exists()
    with pytest.raises(IndexFileError, match="closed"):
        len(index)


def test_an_index_in_memory_that_is_forgotten_leaves_nothing():
    index = nb.create_index(None, n_bits=16)
    folder = index.path.parent
    del index
    import gc

    gc.collect()
    assert not folder.exists()


def test_memory_as_a_name_is_refused_with_the_way_that_works():
    with pytest.raises(InputError, match=r"not ':memory:'; without a file, .*create_index\(None, n_bits="):
        nb.create_index(":memory:", n_bits=16)
    with pytest.raises(InputError, match="n_bits"):
        nb.create_index(None, n_bits=0)


def test_a_seed_is_a_generator():
    rng = np.random.default_rng(3)
    expected = nb.make_centers("bernoulli", n_classes=4, n_bits=16, rng=rng)
    assert np.array_equal(nb.make_centers("bernoulli", n_classes=4, n_bits=16, seed=3), expected)
    labels = np.arange(20) % 3
    given = {
        "query_codes": CODES,
        "query_labels": labels,
        "database_codes": CODES,
        "database_labels": labels,
        "n_bits": 16,
    }
    by_rng = nb.evaluate_codes(**given, rng=np.random.default_rng(5)).tie_aware_map_interval
    assert nb.evaluate_codes(**given, seed=5).tie_aware_map_interval == by_rng
    assert nb.evaluate_codes(**given).tie_aware_map_interval is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rng": 0}, r"rng must be a numpy Generator .*not 0: for a number give seed=0"),
        ({"rng": "a"}, "rng must be a numpy Generator"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"seed": True}, "not True"),
        ({"seed": 1.5}, "not 1.5"),
        ({"seed": 1, "rng": np.random.default_rng(0)}, "give rng or seed, not both"),
        ({}, "give a source of randomness: seed=0"),
    ],
)
def test_what_is_no_source_of_randomness_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        nb.make_centers("csq", n_classes=4, n_bits=16, **given)


def test_none_is_needed_where_nothing_is_drawn():
    assert generator_of(None, None, needed=False) is None
    assert generator_of(None, np.int64(3), needed=True).random() == np.random.default_rng(3).random()


@pytest.fixture
def found(tmp_path):
    Image.fromarray(np.full((300, 200, 3), 99, np.uint8)).save(tmp_path / "a<b.png")
    (tmp_path / "no.jpg").write_bytes(b"no image")
    index = nb.create_index(tmp_path / "i.index", 16)
    metadata = [{"path": "a<b.png", "labels": ["<script>", "x"]}, {"path": "no.jpg"}, {"path": "gone.jpg"}, {}]
    index.add(CODES[:4], metadata=metadata)
    yield index, index.search(CODES[:7], k=4)
    index.close()


def test_results_in_a_notebook_have_pictures_and_escaped_texts(found):
    index, results = found
    html = results._repr_html_()
    assert html.count("data:image/jpeg;base64,") == 5
    assert "<script>" not in html
    assert "&lt;script&gt;, x" in html
    assert "a&lt;b.png" in html
    assert "no.jpg" in html
    assert "1 at 0" in html
    assert "and 2 more queries" in html
    assert "query 5" not in html
    index.remove([3])
    assert "without paths and labels" in results._repr_html_()
    index.close()
    assert "without paths and labels" in results._repr_html_()


def test_results_are_a_table(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=dict))
    index, results = found
    frame = results.to_pandas()
    assert list(frame) == ["query", "rank", "id", "distance", "path", "labels"]
    assert len(frame["query"]) == 28
    assert frame["rank"][:5].tolist() == [1, 2, 3, 4, 1]
    first = results.pairs(0)[0]
    assert (frame["id"][0], frame["distance"][0], frame["path"][0], frame["labels"][0]) == (
        *first,
        "a<b.png",
        ("<script>", "x"),
    )
    weighted = index.search(CODES[:1], k=2, weights=np.where(np.unpackbits(CODES[:1], axis=1), 1.0, -1.0)).to_pandas()
    assert weighted["weighted"].tolist() == weighted["distance"].tolist()


def test_a_table_without_pandas_says_how_to_install_it(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="a DataFrame of results needs the package pandas"):
        found[1].to_pandas()
