"""Names of records, and digests of sources."""

import pickle

from vqvae.data.records.base import Names, digest_of


def test_names_are_kept_in_little_memory():
    names = [f"folder/ü{number}.png" for number in range(1000)] + ["", "\udcff.png"]
    kept = Names(names)
    assert len(kept) == 1002 and [kept[number] for number in range(1002)] == names
    assert len(pickle.dumps(kept)) < 40_000


def test_digests_differ_with_the_facts():
    assert digest_of(["a", 1]) == digest_of(["a", 1]) != digest_of(["a", 2])
