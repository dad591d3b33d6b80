"""What every command keeps to: help with an example, one JSON object, exit statuses, one line for each error."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from nearbit.cli import main
from nearbit.cli.console import Bars, table
from nearbit.errors import DataError


@pytest.mark.parametrize("command", main.COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help_with_an_example(nearbit, command, flag):
    status, out, err = nearbit(command, flag)
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: nearbit {command}")
    assert f"Example: nearbit {command}" in out


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_option_of_every_command_says_what_it_is_for(nearbit, command):
    import click

    loaded = main.cli.get_command(click.Context(main.cli), command)
    for option in loaded.params:
        if isinstance(option, click.Option):
            assert option.help or option.type.name == "choice" or option.default, (command, option.name)
    assert any(option.name == "as_json" for option in loaded.params)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_of_the_whole_lists_every_command(nearbit, arguments):
    status, out, err = nearbit(*arguments)
    assert (status, err) == (0, "")
    for name, line in main.COMMANDS.items():
        assert name in out
        assert line in " ".join(out.split())


def test_version(nearbit):
    status, out, _ = nearbit("--version")
    assert status == 0
    assert out.startswith("nearbit, version ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serch"], "Did you mean 'search'?"),
        (["--jsn"], "No such option"),
        (["train"], "Missing argument 'DATA'"),
        (["train", "digits"], "Missing option '-o'"),
        (["train", "digits", "-o", "x", "--epoch", "3"], "--epochs"),
        (["train", "digits", "-o", "x", "--bits", "0"], "--bits"),
        (["train", "digits", "-o", "x", "--regime", "cold"], "'cold' is not one of"),
        (["train", "digits", "-o", "x", "--method", "chr"], "Did you mean 'crh'?"),
        (["train", "digits", "-o", "x", "--option", "margin"], "must read NAME=VALUE"),
        (["train", "digits", "-o", "x", "--option", "margn=1"], "Did you mean 'margin'?"),
        (["train", "digits", "-o", "x", "--learning-rate", "0"], "learning_rate must be a number above 0, not 0.0"),
        (["train", "digits", "-o", "x", "--device", "cuda:99"], "device 'cuda:99' is not there"),
        (["train", "digits", "-o", "x", "--backbone", "small", "--weights", "w"], "takes no weights"),
        (["train", "digits", "-o", "x", "--backbone", "resnet18", "--weights", "w"], "there is no weights file w"),
        (["train", "digits", "-o", "x", "--split", "s", "--query", "2"], "leave out what would make another one"),
        (
            ["train", "digits", "-o", "x", "--split", "s", "--allow-overlap"],
            "--database-includes-train, --allow-overlap)",
        ),
        (["train", "digits", "-o", "x", "--split", "s", "--imbalance", "0"], "leave out what would make another one"),
        (["compare", "digits", "-o", "x", "--split", "s", "--unseen-share", "0"], "leave out what would make another"),
        (["compare", "digits", "-o", "x", "--split", "s", "--train", "0"], "leave out what would make another"),
        (["data", "digits", "--download"], "digits is built in: leave it out"),
        (
            ["data", ".", "--download"],
            "coco2014, coco2017, mirflickr25k, flowers102 and oxford-pets; leave it out for .",
        ),
        (["data", "nabirds", "--download"], "nabirds is not fetched: NABirds is given by the Cornell Lab"),
        (["train", "digits", "-o", "x", "--split", "s"], "but s cannot be read"),
        (["train", "dgits", "-o", "x"], "Did you mean 'digits'?"),
        (["split", "digits", "-o", "x", "--query", "lots"], "'lots' is not a fraction"),
        (["split", "digits", "-o", "x", "--protocol", "given", "--query", "2"], "not both"),
        (["data", "new\nline"], "no such file or folder"),
        (["search", "no.index", "--id", "1"], "does not exist"),
        (["search", "no.index"], "give at least one QUERY image, or --id"),
        (["encode", "no.model", "digits", "-o", "x.npz"], "there is no model at no.model"),
        (["evaluate"], "give MODEL and DATA, or --codes FILE"),
        (["evaluate", "m"], "DATA is missing: nearbit evaluate m DATA"),
        (["evaluate", "m", "d", "--codes", "c"], "not both"),
        (["evaluate", "m", "--codes", "c"], "not both"),
        (["evaluate", "--codes", "c", "--split", "s"], "--split goes with MODEL and DATA"),
        (["inspect", "nothing"], "'nothing' does not exist"),
        (["index", ".", "digits"], "is a directory"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(refused, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(*arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", ["", ".", "/", "..", "a/.."])
@pytest.mark.parametrize("command", ["train digits", "add-class no.model", "shorten no.model --bits 4"])
def test_an_output_without_a_name_is_refused_before_anything_is_read(refused, tmp_path, monkeypatch, command, output):
    monkeypatch.chdir(tmp_path)
    said = refused(*command.split(), *(["photos"] if command.startswith("add") else []), "-o", output)
    assert f"{output!r} names nothing new to write: give a name such as birds.model" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["compare digits", "bits digits", "demo", "export no.model --onnx"])
def test_an_empty_output_is_refused_before_anything_is_read(refused, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    assert "'' names nothing new to write" in refused(*command.split(), "-o", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", [".", "/", "there"])
def test_codes_of_images_into_a_folder_are_refused_before_they_are_made(refused, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    assert f"-o {output} is a folder, and" in refused("encode", "no.model", "digits", "-o", output)


def test_a_place_that_cannot_be_written_is_a_mistake_found_before_the_work(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("nearbit.training.trainer.Trainer.run", None)
    (tmp_path / "file").write_text("x")
    message = refused("train", "digits", "-o", tmp_path / "file" / "a.model")
    assert str(tmp_path / "file") in message
    assert "Not a directory" in message


def replace_data_command(monkeypatch, action):
    def call(*arguments, **options):
        action()

    monkeypatch.setattr("nearbit.cli.commands.data.read_dataset", call)


def raising(error):
    def action():
        raise error

    return action


def test_a_fault_of_ours_is_status_1_with_all_there_is_to_report(nearbit, monkeypatch):
    replace_data_command(monkeypatch, raising(ZeroDivisionError("oh")))
    status, out, err = nearbit("data", "digits")
    assert (status, out) == (1, "")
    assert "ZeroDivisionError: oh" in err
    assert err.endswith("nearbit: this is a fault of nearbit itself; please report it with the lines above.\n")


def test_an_interruption_is_status_130(nearbit, monkeypatch):
    replace_data_command(monkeypatch, raising(KeyboardInterrupt()))
    status, out, err = nearbit("data", "digits", "--json")
    assert (status, out) == (130, "")
    assert err.strip() == "Interrupted. Nothing is half-written; the same command goes on where it stopped."


def test_an_error_of_several_lines_is_printed_on_one(nearbit, monkeypatch):
    replace_data_command(monkeypatch, raising(DataError("first\nsecond\n\tthird")))
    status, out, err = nearbit("data", "digits")
    assert (status, out, err) == (2, "", "nearbit: first second third\n")
    _, out, _ = nearbit("data", "digits", "--json")
    assert json.loads(out) == {"error": {"type": "DataError", "message": "first\nsecond\n\tthird"}}


def test_an_error_of_the_system_names_the_file(nearbit, monkeypatch):
    replace_data_command(monkeypatch, raising(PermissionError(13, "Permission denied", "/photos/x")))
    status, _, err = nearbit("data", "digits")
    assert (status, err) == (2, "nearbit: /photos/x: Permission denied\n")
    replace_data_command(monkeypatch, raising(OSError("strange")))
    assert nearbit("data", "digits")[2] == "nearbit: the system says: strange\n"


def test_a_full_disk_is_named_with_what_to_do(nearbit, monkeypatch):
    error = OSError(28, "No space left on device", "/photos/x.model")
    error.add_note("(It stays.)")
    replace_data_command(monkeypatch, raising(error))
    status, _, err = nearbit("data", "digits")
    said = "No space left on device; make room there, or choose another place (It stays.)"
    assert (status, err) == (2, f"nearbit: /photos/x.model: {said}\n")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")],
)
def test_too_little_memory_is_one_line_that_says_what_to_do(nearbit, monkeypatch, error):
    replace_data_command(monkeypatch, raising(error))
    status, _, err = nearbit("data", "digits")
    assert status == 2
    assert err.startswith("nearbit: there is not enough memory (")
    assert "take fewer or smaller images at once" in err
    assert err.count("\n") == 1


def test_a_name_that_is_not_utf8_is_printed_escaped(nearbit, tmp_path):
    status, out, err = nearbit("data", os.fsdecode(b"caf\xe9"), "--json")
    assert status == 2
    assert json.loads(out)["error"]["message"].startswith("caf\udce9: no such file")
    assert err.startswith(r"nearbit: caf\udce9: no such file")


def test_doctor_says_what_is_installed(as_json, nearbit):
    about = as_json("doctor")
    assert {"nearbit", "torch", "numpy"} <= {name for name, found in about["packages"].items() if found}
    assert about["device"]
    status, out, _ = nearbit("doctor")
    assert status == 0
    assert "to install" in out


def test_data_of_a_known_set(as_json):
    about = as_json("data", "digits")
    assert (about["images"], about["classes"], about["skipped"], about["errors_file"]) == (1797, 10, 0, None)


def test_bars_show_nothing_where_nobody_looks(capsys):
    with Bars() as progress:
        progress("Reading", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_bars_show_each_stage_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Bars() as progress:
        for done in (1, 2):
            progress("Reading", done, 2)
        progress("Training", 1, 3)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Reading: 100%" in err
    assert "Training:  33%" in err


def test_tables_align_numbers_to_the_right_and_words_to_the_left():
    assert table([("a", 1), ("long", 20), ("x", "-")], ("name", "count")) == [
        "name  count",
        "a         1",
        "long     20",
        "x         -",
    ]


def started(*arguments, **options):
    command = [sys.executable, "-m", "nearbit", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_a_process_keeps_to_the_statuses_and_streams_too(tmp_path):
    with started("data", "nothing", "--json", cwd=tmp_path) as process:
        out, err = process.communicate()
    assert process.returncode == 2
    assert json.loads(out)["error"]["type"] == "DataError"
    assert err.count("\n") == 1


def test_a_reader_that_goes_away_is_no_fault(tmp_path):
    with started("data", "digits", "--json", cwd=tmp_path) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_control_c_leaves_nothing_half_written(tmp_path):
    arguments = ["train", "digits", "-o", "a.model", "--epochs", "5000", "--image-size", "8", "--device", "cpu"]
    environment = os.environ | {"NEARBIT_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with started(*arguments, cwd=tmp_path, env=environment) as process:
        signal.signal(signal.SIGINT, before)
        while not (tmp_path / "a.model.checkpoint").exists():
            time.sleep(0.02)
            assert process.poll() is None
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Interrupted. Nothing is half-written" in err
    assert {path.name for path in tmp_path.iterdir()} <= {"a.model.checkpoint", "cache"}
