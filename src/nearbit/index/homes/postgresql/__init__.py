"""An index in PostgreSQL: exact search in the engine, over distinct codes that lie in rings around pivots.

Tables of an index NAME: `NAME_meta` (facts and notes), `NAME_state` (one row, locked by the one writer of the moment),
`NAME_items` (id, code and what belongs to it), `NAME_codes` (each distinct code once, with its pivot, its distance from
that and the first id that has it) and `NAME_pivots`. The triangle inequality says in which rings of which pivots a
neighbor can lie; the b-tree on (pivot, distance) reads these alone, and the items join the codes that are found.

Since the first id of a code decides among codes at one distance, the k nearest codes by (distance, first id) hold the k
nearest items by (distance, id): a code outside of them has k items before its own first.
"""
