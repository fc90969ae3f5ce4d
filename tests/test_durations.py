"""How long stages take, which DVC does not record."""

from pathlib import Path

import pytest

from lockstep.dvc.durations import Duration, durations, last_session, measured
from lockstep.dvc.lock import LockedStage
from lockstep.files import file_digest


def test_the_time_of_a_stage_stays_with_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    digests = []
    for text in ("one", "two"):
        with measured([Path("out.txt"), Path("missing.txt")]):  # DVC did not start this one
            pass
        monkeypatch.setenv("DVC_STAGE", "train")
        with measured([Path("out.txt")]):
            Path("out.txt").write_text(text)
        monkeypatch.delenv("DVC_STAGE")
        digests.append(file_digest(Path("out.txt")))
    for digest in digests:
        stages = {
            "train": LockedStage("train", {}, {"out.txt": digest}, {}),
            "other": LockedStage("other", {}, {"out.txt": digest}, {}),
        }
        found = durations(tmp_path, stages)
        assert list(found) == ["train"]
        assert 0 <= found["train"].seconds < 60
    unknown = {"train": LockedStage("train", {}, {"out.txt": "of another machine"}, {})}
    assert durations(tmp_path, unknown) == {}
    assert durations(tmp_path / "elsewhere", unknown) == {}


def test_stages_that_dvc_skipped_do_not_count() -> None:
    yesterday = [Duration(600, 1_000), Duration(30, 1_031)]
    today = [Duration(5, 90_005), Duration(2, 90_009)]
    assert last_session([*today, *yesterday]) == 7
    assert last_session(yesterday) == 630
    assert last_session([]) == 0
