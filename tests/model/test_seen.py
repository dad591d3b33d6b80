"""What a model folder says of images that its backbone had seen before: kept, checked, and absent where nothing was."""

import json
from dataclasses import replace

import pytest

from model_makers import random_model
from nearbit.errors import BundleError
from nearbit.files.writing import json_digest, sha256_of
from nearbit.model.bundle import load_model
from nearbit.model.seen import NONE_SEEN, SeenImages, seen_in

BEFORE = SeenImages(trained=frozenset({"aa", "bb"}), validated=frozenset({"cc"}))


def test_it_comes_back_and_a_model_without_it_has_no_file(tmp_path):
    model = random_model()
    replace(model, seen_before=BEFORE).save(tmp_path / "a.model")
    model.save(tmp_path / "b.model")
    assert load_model(tmp_path / "a.model").seen_before == BEFORE
    assert load_model(tmp_path / "a.model").shortened(6).seen_before == BEFORE
    assert load_model(tmp_path / "b.model").seen_before == NONE_SEEN
    assert not (tmp_path / "b.model" / "seen.json").exists()


def test_a_split_says_what_its_run_sees():
    split = random_model().split
    seen = seen_in(split)
    assert seen.trained == {split.digests[row] for row in split.train}
    assert seen.validated == {split.digests[row] for row in split.validation}
    assert not seen - seen
    assert (seen | BEFORE) - seen == BEFORE
    assert seen_in(None) == NONE_SEEN


WRONG = {
    "no JSON": ("{", "is not JSON"),
    "a list": ("[]", "expected .*nearbit seen images"),
    "of a newer version": ('{"format": "nearbit seen images", "version": 2}', "update nearbit"),
    "without a list": ('{"format": "nearbit seen images", "version": 1, "trained": []}', "validated must be a list"),
    "numbers": ('{"format": "nearbit seen images", "version": 1, "trained": [1]}', "trained must be a list of texts"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_none_is_refused(tmp_path, case):
    content, reason = WRONG[case]
    folder = tmp_path / "a.model"
    replace(random_model(), seen_before=BEFORE).save(folder)
    (folder / "seen.json").write_text(content)
    with pytest.raises(BundleError, match=r"seen\.json was altered or damaged"):
        load_model(folder)
    description = json.loads((folder / "bundle.json").read_text())
    del description["digest"]
    description["files"]["seen.json"] = sha256_of(folder / "seen.json")
    (folder / "bundle.json").write_text(json.dumps(description | {"digest": json_digest(description)}))
    with pytest.raises(BundleError, match=reason):
        load_model(folder)
