"""Damaged files: refused with the place, mended only where that loses nothing, repaired aside."""

from __future__ import annotations

import os
import re

import pytest

from javis.core.errors import StoreCorrupt, StoreError
from javis.store.codec import encode_record
from javis.store.journal import JournalDB
from javis.store.maintenance import repair, verify

ROWS = 6


def filled(path):
    with JournalDB(path) as db:
        for number in range(ROWS):
            db.insert({"n": number, "text": "한국 JVS1 00000000 9 []"})
    return path.read_bytes()


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "javis.jnl"
    filled(path)
    return path


def numbers(path):
    with JournalDB(path) as db:
        return [row["n"] for row in db]


def test_cut_at_every_byte_keeps_every_whole_record(journal):
    data = journal.read_bytes()
    first = data.index(b"\n") + 1
    for cut in range(len(data)):
        journal.write_bytes(data[:cut])
        if cut < first:
            with pytest.raises(StoreCorrupt):
                JournalDB(journal)
            assert journal.read_bytes() == data[:cut]
            continue
        whole = data[:cut].count(b"\n") - 1 + (data[cut : cut + 1] == b"\n")
        assert numbers(journal) == list(range(whole)), cut
        end = data[:cut].rfind(b"\n") + 1
        torn = journal.with_name(f"javis.jnl.torn-{end}")
        if torn.exists():
            assert data[:cut].endswith(torn.read_bytes())
            torn.unlink()


def test_every_flipped_bit_is_refused_or_mended(journal):
    data = journal.read_bytes()
    mended = []
    for place in range(len(data)):
        for bit in range(8):
            bad = bytearray(data)
            bad[place] ^= 1 << bit
            journal.write_bytes(bad)
            try:
                assert numbers(journal) == list(range(ROWS))
            except StoreCorrupt as error:
                assert error.values["offset"] <= place
                assert journal.read_bytes() == bytes(bad), "a damaged file was changed"
                continue
            mended.append(place)
            assert journal.read_bytes() == data
    assert set(mended) == {len(data) - 1}


def lines_of(path):
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:3] + lines[2:],
        lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
        lambda lines: lines[:2] + lines[3:],
        lambda lines: lines[1:],
        lambda lines: [line.replace(b"\n", b"\r\n") for line in lines],
        lambda lines: [b"\xef\xbb\xbf", *lines],
        lambda lines: [*lines, b"\n"],
        lambda lines: [*lines, b"garbage\n"],
        lambda lines: [*lines[:3], bytes(600), *lines[3:]],
        lambda lines: [*lines, *lines],
        lambda lines: [],
        lambda lines: [b"{}"],
        lambda lines: [bytes(5000)],
    ],
    ids=["doubled", "swapped", "lost", "headless", "crlf", "bom", "blank line", "garbage",
         "hole", "twice", "empty", "json", "nul"],
)  # fmt: skip
def test_damage_is_refused_and_nothing_touched(journal, change):
    bad = b"".join(change(lines_of(journal)))
    journal.write_bytes(bad)
    with pytest.raises(StoreCorrupt) as caught:
        JournalDB(journal)
    assert caught.value.code == "store_corrupt"
    assert str(caught.value.values["offset"]) in str(caught.value)
    assert journal.read_bytes() == bad
    report = verify(journal)
    assert not report.ok and report.damaged_at == caught.value.values["offset"]
    assert "DAMAGED" in str(report)


@pytest.mark.parametrize("tail", [bytes(4096), b'JVS1 00000000 9 [["put"', b"\xff", b"JVS1 "])
def test_an_unfinished_end_is_kept_aside_and_cut(journal, tail):
    data = journal.read_bytes()
    journal.write_bytes(data + tail)
    report = verify(journal)
    assert report.ok and report.unfinished_bytes == len(tail)
    assert journal.read_bytes() == data + tail
    assert numbers(journal) == list(range(ROWS))
    assert journal.read_bytes() == data
    assert journal.with_name(f"javis.jnl.torn-{len(data)}").read_bytes() == tail


def test_a_second_torn_end_at_the_same_place_does_not_replace_the_first(journal):
    data = journal.read_bytes()
    for tail in (b"one", b"two"):
        journal.write_bytes(data + tail)
        numbers(journal)
    kept = {path.read_bytes() for path in journal.parent.glob("*.torn-*")}
    assert kept == {b"one", b"two"}


def test_a_record_whose_first_sector_was_never_written_is_unfinished(tmp_path):
    path = tmp_path / "javis.jnl"
    with JournalDB(path) as db:
        db.insert({"n": 0})
        before = path.stat().st_size
        db.insert({"text": "x" * 3000})
    data = bytearray(path.read_bytes())
    data[before:1024] = bytes(1024 - before)
    path.write_bytes(data)
    assert numbers(path) == [0]


def test_a_newer_program_s_record_is_refused_without_a_change(journal):
    lines = lines_of(journal)
    crc = int(lines[-1][5:13], 16)
    line, _ = encode_record(b'[["compress","t",{}]]', len(lines) + 1, crc)
    data = b"".join([*lines, line])
    journal.write_bytes(data)
    with pytest.raises(StoreError) as caught:
        JournalDB(journal)
    assert caught.value.code == "store_too_new" and not isinstance(caught.value, StoreCorrupt)
    assert journal.read_bytes() == data


# -- repair ------------------------------------------------------------------------------------


def repaired(path, tmp_path):
    out = tmp_path / "out.jnl"
    out.unlink(missing_ok=True)
    before = path.read_bytes()
    report = repair(path, out)
    assert path.read_bytes() == before, "the original was changed"
    return report, numbers(out)


def test_repair_loses_at_most_the_damaged_record_for_any_flipped_bit(journal, tmp_path):
    data = journal.read_bytes()
    ends = [match.end() for match in re.finditer(b"\n", data)]
    for place in range(len(data)):
        bad = bytearray(data)
        bad[place] ^= 1 << (place % 8)
        journal.write_bytes(bad)
        report, found = repaired(journal, tmp_path)
        record = sum(end <= place for end in ends)
        lost = {record - 1} if place != ends[record] - 1 else set()
        missing = set(range(ROWS)) - set(found)
        # A lost newline costs nothing, any other damage the record it is in.
        assert missing == lost - {-1}, place
        assert bool(report.damaged_at) == bool(lost) or place == ends[record] - 1


def test_repair_of_a_whole_journal_changes_no_row(journal, tmp_path):
    report, found = repaired(journal, tmp_path)
    assert found == list(range(ROWS)) and report.damaged_at == [] and report.lost_records == []
    assert "No damage" in str(report)


def test_repair_goes_on_behind_a_hole(journal, tmp_path):
    lines = lines_of(journal)
    journal.write_bytes(b"".join([*lines[:2], bytes(700), b"\n", *lines[4:]]))
    report, found = repaired(journal, tmp_path)
    # Rows 1 and 2 are gone; row 3 cannot be proven as the checksum before it is gone as well.
    assert found == [0, 4, 5]
    assert report.lost_records == [(3, 5)] and "record 3 to 5" in str(report)


def test_repair_skips_a_doubled_line_and_a_torn_end(journal, tmp_path):
    lines = lines_of(journal)
    journal.write_bytes(b"".join([*lines[:3], lines[2], *lines[3:], b"JVS1 torn"]))
    report, found = repaired(journal, tmp_path)
    assert found == list(range(ROWS)) and len(report.damaged_at) == 2


def test_repair_never_overwrites_and_says_when_there_is_nothing(journal, tmp_path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(StoreError) as caught:
        repair(journal, tmp_path / "there")
    assert caught.value.code == "file_exists" and (tmp_path / "there").read_text() == "mine"
    with pytest.raises(StoreError) as caught:
        repair(journal, journal)
    assert caught.value.code == "file_exists"
    journal.write_bytes(os.urandom(5000))
    with pytest.raises(StoreError) as caught:
        repair(journal, tmp_path / "new")
    assert caught.value.code == "nothing_to_repair" and not (tmp_path / "new").exists()
    with pytest.raises(StoreError):
        repair(tmp_path / "nowhere", tmp_path / "new")


def test_a_repaired_store_keeps_ids_unused(journal, tmp_path):
    with JournalDB(journal) as db:
        db.remove(doc_ids=[ROWS])
    repaired(journal, tmp_path)
    with JournalDB(tmp_path / "out.jnl") as db:
        assert db.insert({}) == ROWS + 1


def test_records_are_counted_on_over_a_compaction(journal):
    with JournalDB(journal) as db:
        db.storage.compact()
    lines = [line.split()[2] for line in lines_of(journal)]
    assert lines == [str(ROWS + 2 + place).encode() for place in range(ROWS + 1)]
