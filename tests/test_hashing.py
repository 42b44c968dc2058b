"""Hashes that must never change: each literal here is part of keys that users have on disk."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from awcl import hashing


def test_the_values_never_change():
    assert hashing.uint64("usable", 0, "tiny/p0_0") == 0xF7935C55C543F2D3
    assert hashing.of_json({"b": [1, 0.5, None], "a": "ä"}) == "895647da2fba"


def test_a_hash_is_the_same_in_every_process():
    """Python's own hash is not."""
    code = "from awcl import hashing; print(hashing.uint64('a', 1), hashing.of_json({'a': 1}))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert printed.split() == [str(hashing.uint64("a", 1)), hashing.of_json({"a": 1})]


def test_parts_do_not_run_into_each_other():
    assert hashing.uint64("ab", "c") != hashing.uint64("a", "bc") != hashing.uint64("abc")


@given(st.text(), st.integers())
def test_a_unit_is_in_the_half_open_interval(a, b):
    assert 0 <= hashing.unit(a, b) < 1
    assert 0 <= hashing.uint64(a, b) < 2**64


def test_units_are_spread_evenly():
    units = [hashing.unit("x", n) for n in range(4000)]
    counts, _ = np.histogram(units, bins=8, range=(0, 1))
    assert counts.min() > 420 and counts.max() < 580


def test_many_hashes_are_each_on_its_own():
    names = ["a", "b", 3]
    found = hashing.uint64s(names, "usable", 7)
    assert found.dtype == np.uint64
    assert [int(n) for n in found] == [hashing.uint64("usable", 7, name) for name in names]
    assert hashing.uint64s([]).shape == (0,)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none(), max_size=5))
def test_the_order_of_keys_does_not_matter_and_a_value_does(data):
    backwards = dict(reversed(data.items()))
    assert hashing.of_json(data) == hashing.of_json(backwards)
    assert hashing.of_json({**data, "more": 1}) != hashing.of_json({**data, "more": 2})


def test_nan_has_no_hash():
    with pytest.raises(ValueError, match="Out of range float"):
        hashing.of_json({"a": float("nan")})


def test_a_file_is_hashed_by_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert hashing.of_file(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()
