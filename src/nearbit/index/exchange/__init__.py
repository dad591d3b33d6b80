"""Items to and from files of other programs: `.npz`, Parquet, Arrow, faiss, usearch, PostgreSQL (`.sql`).

All of them hold the bits in the order of codes: bit 1 stands for +1, the first bit is the highest of the first byte.
"""

from nearbit.index.exchange.files import EXPORTS, IMPORTS, export_index, import_items, read_file

__all__ = ["EXPORTS", "IMPORTS", "export_index", "import_items", "read_file"]
