"""What kernels were found to do, as values: matrices, their changes, merges and history."""

from harness.matrix.matrix import (
    SCHEMA,
    Asking,
    Entry,
    Facts,
    Key,
    Matrix,
    MergedRun,
    Run,
    Value,
    check_version,
    decode,
    document,
    encode,
    key_of,
    published,
    schema_of,
)

__all__ = [
    "SCHEMA",
    "Asking",
    "Entry",
    "Facts",
    "Key",
    "Matrix",
    "MergedRun",
    "Run",
    "Value",
    "check_version",
    "decode",
    "document",
    "encode",
    "key_of",
    "published",
    "schema_of",
]
