"""Methods of other packages, found by the metadata that an installer writes."""

import os
import subprocess
import sys
from pathlib import Path

import hinge
import pytest
from hinge import HINGE

import nearbit as nb
from nearbit.cli.main import OUR_FAULT, run
from nearbit.errors import InputError
from nearbit.methods import CRH, METHODS, find_method, installed_methods
from tiny_data import TINY, tiny_dataset, tiny_split


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package that declares methods: install("hinge", hinge="hinge:HINGE"); returns where it lies."""

    def place(package, **declared):
        site = tmp_path / f"site-{package}"
        about = site / f"{package}-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name.replace('_', '-')} = {value}" for name, value in declared.items()]
        (about / "entry_points.txt").write_text("\n".join(["[nearbit.methods]", *lines, ""]))
        monkeypatch.syspath_prepend(site)
        return site

    return place


def test_without_packages_there_are_only_nearbits_own():
    assert installed_methods() == {}
    with pytest.raises(InputError, match="unknown method 'hinge'; known: crh, "):
        find_method("hinge")


def test_a_declared_method_is_found_by_its_name_beside_nearbits_own(install):
    install("hinge", hinge="hinge:HINGE")
    assert find_method("hinge") is HINGE
    assert all(find_method(name) is method for name, method in METHODS.items())
    dataset = tiny_dataset()
    options = nb.TrainOptions(image_size=8, epochs=1, device="cpu")
    model = nb.train(dataset, tiny_split(dataset), method="hinge", n_bits=12, options=options)
    assert model.method == "hinge"
    with pytest.raises(InputError, match=r"unknown method 'hing'; known: .*, hinge\. Did you mean 'hinge'\?"):
        find_method("hing")


def test_a_declaration_is_not_imported_before_it_is_asked_for(install):
    install("broken", broken="no_such_module:METHOD")
    assert find_method("crh") is CRH
    with pytest.raises(InputError, match=r"the method 'broken' of no_such_module:METHOD \(package broken\) cannot be"):
        find_method("broken")


@pytest.mark.parametrize(("declared", "match"), [
    ({"hinge": "hinge:HINGES"}, "the method 'hinge' of hinge:HINGES .* cannot be imported: .*no attribute 'HINGES'"),
    ({"hinge": "hinge:HingeOptions"}, r"hinge:HingeOptions \(package one\) must be a Method or .* 'hinge', not type"),
    ({"polar": "hinge:HINGE"}, "must be a Method or a Baseline named 'polar', not one named 'hinge'"),
    ({"csq": "hinge:HINGE"}, "'csq' is a method of nearbit, and hinge:HINGE is declared under the same name"),
    ({"itq": "hinge:HINGE"}, "'itq' is a method of nearbit"),
])  # fmt: skip
def test_a_declaration_that_does_not_hold_is_refused(install, declared, match):
    install("one", **declared)
    with pytest.raises(InputError, match=match):
        find_method(next(iter(declared)))


def test_two_packages_cannot_have_methods_of_one_name(install):
    install("one", hinge="hinge:HINGE")
    install("two", hinge="hinge_of_two:HINGE")
    with pytest.raises(InputError, match=r"several packages .*\(package one\), hinge_of_two:HINGE \(package two\)"):
        find_method("hinge")


def test_a_package_that_lies_on_the_path_twice_counts_once(install, monkeypatch, tmp_path):
    site = install("one", hinge="hinge:HINGE")
    other = tmp_path / "again"
    other.symlink_to(site)
    monkeypatch.syspath_prepend(other)
    assert find_method("hinge") is HINGE


@pytest.mark.slow
def test_the_command_line_trains_a_method_of_another_package(install, tmp_path):
    places = [install("hinge", hinge="hinge:HINGE"), Path(hinge.__file__).parent, Path(nb.__file__).parents[1]]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, places)),
        "NEARBIT_CACHE": str(tmp_path / "cache"),
    }
    output = tmp_path / "hinge.model"
    command = [sys.executable, "-m", "nearbit", "train", "digits", "--method", "hinge", "--option", "margin=0.5", *TINY]
    subprocess.run([*command, "-o", str(output)], env=environment, check=True, capture_output=True)
    model = nb.load_model(output)
    assert (model.method, model.method_options) == ("hinge", {"margin": 0.5})


def test_a_fault_of_another_packages_method_is_not_called_nearbits(install, monkeypatch, tmp_path, capsys):
    install("one", hinge="hinge:HINGE")
    monkeypatch.setattr(hinge, "hinge_loss", None)
    assert run(["train", "digits", "--method", "hinge", *TINY, "-o", str(tmp_path / "hinge.model")]) == OUR_FAULT
    told = capsys.readouterr().err
    assert "TypeError: 'NoneType' object is not callable" in told
    assert told.endswith(
        "nearbit: this came out of the method 'hinge' of hinge:HINGE (package one), which is no part of nearbit; "
        "the lines above say where.\n"
    )
