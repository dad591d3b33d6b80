"""Addresses of models on the hub, and what is no address."""

import pytest

from nearbit.errors import BundleError, InputError
from nearbit.index import create_index
from nearbit.model.arrays import KNOWN_FILES
from nearbit.model.hub import MODEL_FILES, address_of, model_folder
from nearbit.model.load import model_at_hand, model_of_index
from nearbit.model.publish import push_model


def test_names_of_repositories_are_checked_before_anything_is_read(tmp_path):
    for name in ("birds", "org/birds@main", "a/b/c", "../x"):
        with pytest.raises(InputError, match=r"a repository is named ORG/NAME, not "):
            push_model(tmp_path / "none.model", name)


def test_only_a_snapshot_of_the_client_has_an_address(tmp_path):
    commit = "0123456789abcdef" * 2 + "01234567"
    folder = tmp_path / "hub" / "models--org--birds-64" / "snapshots" / commit
    assert address_of(folder) == f"hf:org/birds-64@{commit}"
    assert address_of(tmp_path / "birds.model") is None
    assert model_folder(tmp_path / "birds.model") == tmp_path / "birds.model"


def test_the_files_of_a_model_are_those_that_are_sent_and_fetched():
    assert set(MODEL_FILES) == KNOWN_FILES | {"bundle.json"}


def test_an_index_whose_model_is_on_the_hub_opens_without_it(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="skipped: huggingface_hub is not installed (extra [hub])")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with create_index(tmp_path / "a.index", 12) as index:
        index.set_notes({"model_path": "hf:org/birds@" + "0" * 40})
        assert model_at_hand(index) is None
        with pytest.raises(BundleError, match=r"cannot be fetched: it is not here yet"):
            model_of_index(index)
