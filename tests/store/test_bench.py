import json

from javis.bench import store as bench


def test_the_benchmark_runs_and_says_what_holds(monkeypatch):
    for name, value in {"SMALL": 40, "LARGE": 80, "STOCK": 20, "INSERTS": 5}.items():
        monkeypatch.setattr(bench, name, value)
    rows = bench.run()
    json.dumps(rows)
    keys = {"name", "ours", "reference", "ratio", "unit", "goal", "holds"}
    assert rows and all(set(row) == keys for row in rows)
    assert all(row["ours"] > 0 for row in rows if row["unit"] != "MB")
    assert all((row["holds"] is None) == (row["goal"] == "") for row in rows)


def test_the_made_up_turns_are_as_large_as_real_ones():
    import random

    from javis.store.records import turn_to_row

    source = bench.turns("c_x", random.Random(0))
    sizes = [len(json.dumps(turn_to_row(next(source)), ensure_ascii=False)) for _ in range(100)]
    assert 1000 < sum(sizes) / len(sizes) < 2500
