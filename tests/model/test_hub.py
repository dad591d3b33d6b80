"""Addresses of models on the hub, and what is no address."""

import pytest

from nearbit.errors import InputError
from nearbit.model.hub import address_of, model_folder
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
