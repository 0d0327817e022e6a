"""Anybody's parquet file of scored candidates, its cells as plain numbers and words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def read_pool_table(path: Path, needed: tuple[str, ...], labels: tuple[str, ...]) -> pa.Table:
    """The table with pandas' categoricals decoded.

    Args:
        path: a parquet file.
        needed: columns that it must have.
        labels: columns that say what a row is of, where it has them: no cell of theirs is empty.

    Raises:
        ValueError: names the column that is missing, has empty cells or holds neither numbers nor words.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not path.exists():
        raise ValueError(f"there is no file {path}")
    table = pq.read_table(path)
    for name in needed:
        if name not in table.column_names:
            raise ValueError(f"{path} needs a column {name!r}; it has {', '.join(table.column_names)}")
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    for name in set(labels) & set(table.column_names):
        kind = table.schema.field(name).type
        if pa.types.is_nested(kind):
            raise ValueError(f"{path} has {name!r} of type {kind}; numbers or words are needed")
        if empty := pc.sum(pc.is_null(table[name], nan_is_null=True)).as_py():
            said = f"{empty} of {table.num_rows} rows without {name!r}"
            raise ValueError(f"{path} has {said}: fill them in, or leave them out")
    return table
