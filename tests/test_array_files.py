"""Files of arrays that anyone may have made are refused in one line, whatever reads them."""

import io
import struct
import zipfile

import numpy as np
import pytest

from nearbit.cli.arrays import read_arrays
from nearbit.cli.commands.centers import read_similarity
from nearbit.errors import DataError, InputError
from nearbit.index.exchange import read_file

HEADERS = {
    "an unclosed shape": ("'|u1'", "(2, 1"),
    "a shape of 3,000 brackets": ("'|u1'", "(" * 3000),
    "more than any memory": ("'|u1'", "(100000000000000, 1)"),
    "more than a size can be": ("'|u1'", "(9223372036854775807, 9223372036854775807)"),
    "objects": ("'|O'", "(2, 1)"),
}
FLAGS, METHOD = (6, 8), (8, 10)
"""Where a zip archive says how a member is packed: in the member's own header, in the directory."""


def header(kind, shape):
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def archive(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, member in members.items():
            file.writestr(f"{name}.npy", member)
    return content.getvalue()


def marked(places, value):
    """Return an archive of codes whose members say another way of packing than theirs."""
    content = io.BytesIO()
    np.savez(content, codes=np.zeros((2, 1), np.uint8), n_bits=8)
    changed = bytearray(content.getvalue())
    for sign, place in zip((b"PK\x03\x04", b"PK\x01\x02"), places, strict=True):
        at = changed.find(sign)
        while at >= 0:
            changed[at + place] |= value
            at = changed.find(sign, at + 4)
    return bytes(changed)


CONTENTS = {
    "a secret": marked(FLAGS, 1),
    "an unknown way of packing": marked(METHOD, 99),
    **{name: archive(codes=header(*said), n_bits=header("'<i8'", "()") + bytes(8)) for name, said in HEADERS.items()},
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_an_archive_of_arrays_that_cannot_be_read_is_refused(tmp_path, content):
    file = tmp_path / "a.npz"
    file.write_bytes(content)
    said = r"a\.npz cannot be read as an \.npz file of plain arrays: \S"
    with pytest.raises(InputError, match=said):
        read_file(file)
    with pytest.raises(DataError, match=said):
        read_arrays(file, ("codes",))


@pytest.mark.parametrize("said", HEADERS.values(), ids=HEADERS)
def test_a_similarity_that_cannot_be_read_is_refused(tmp_path, said):
    file = tmp_path / "a.npy"
    file.write_bytes(header(*said))
    with pytest.raises(DataError, match=r"a\.npy cannot be read as a table of numbers .*: \S"):
        read_similarity(file, None)
