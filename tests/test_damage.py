"""Damaged files are refused, healed or harmless: a short version of tests/damage.py."""

import damage

FILES = 150


def test_no_damage_gives_wrong_data_or_hangs():
    counts = damage.run(seed=0, count=FILES)
    assert sum(counts.values()) == FILES
    assert [key for key in counts if key[-1] not in damage.HARMLESS] == []
    assert {kind for kind, *_ in counts} == {"run", "model", "chunk", "certificate"}
    assert any(outcome == "healed" for *_, outcome in counts)


def test_wrong_data_would_be_seen(tmp_path):
    """The judge is judged: a model whose numbers were changed and saved again is wrong data."""
    subjects = damage.Subjects(tmp_path)
    path = tmp_path / "model.npz"
    assert subjects.judge(path) == "as written"
    damage.tm.save(path, damage.tm.ReluOutput.init(3, 2, seed=1))
    assert subjects.judge(path) == "wrong data"
