"""An index in Milvus: exact search by its BIN_FLAT, ties whole, and changes that are seen when they are done.

The items of an index NAME are rows of a collection NAME. Milvus has no transactions and no locks; it has one operation
that succeeds for one caller alone, the renaming of a collection. So a second collection, which holds nothing, tells in
its name the state of the items (`state.Mark`: revision, highest id, number of items, and the server's time of the last
write); a writer takes the index by renaming it, and gives it back, with the next state, by renaming it again.

Each row holds the revision that wrote it, and what reads passes over those of a later one than the state tells: an
addition of any size is seen whole, when its writer has renamed, or not at all. Rows that take another's place, and
removals, are seen request by request (`writing.ROWS_PER_REQUEST`). What a writer that died has left is taken away by
the next one (`writing.repaired`).

Milvus cuts ties at the k-th place as it comes. `searching` asks for more until what follows is farther.
"""
