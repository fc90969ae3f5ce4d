"""`lockstep map`: each file of a folder is computed once; the results are always those of all."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import Tiny

from lockstep import cli
from lockstep.dvc.environment import ALL
from lockstep.files import tree_digest
from lockstep.mlflow.runs import finished
from lockstep.project import Project

Capture = pytest.CaptureFixture[str]
PIPELINE = """
stages:
  part:
    cmd: lockstep map mine.part raw made shared.txt
    deps: [src/mine/helper.py, raw]
    params: [data]
"""
PARAMS = "data: {factor: 2, exclude: []}\nother: 1\n"
CODE = """
import sys
from pathlib import Path

from lockstep import LockstepError
from mine import helper

def main(cfg, partition, out, shared):
    number = partition.read_text()
    with Path("calls.txt").open("a") as calls:
        calls.write(partition.name + " ")
    if number == "bad":
        raise LockstepError("bad is no number\\nfix it")
    if number == "dies":
        import os
        os._exit(3)
    if number == "flaky" and Path("calls.txt").read_text().count(partition.name) < 3:
        raise OSError("the network is away")
    if number == "flaky":
        number = 1
    if number == "told":
        print("it is odd")
        number = 1
    out.write_text(str(int(number) * cfg.data.factor * helper.ONE) + shared.read_text())
    return {"number": int(number)}
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    build(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    for name in ALL:
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    forget()


def build(folder: Path) -> None:
    for name, text in {
        "dvc.yaml": PIPELINE,
        "params.yaml": PARAMS,
        "shared.txt": "!",
        "src/mine/__init__.py": "",
        "src/mine/helper.py": "ONE = 1\n",
        "src/mine/part.py": CODE,
        "raw/a.txt": "1",
        "raw/b.txt": "2",
        "raw/deep/c.txt": "3",
        "raw/.hidden": "no partition",
        "raw/_SUCCESS": "no partition",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def lockstep_map(*options: str, jobs: int = 1) -> int:
    """Run the verb in the current folder, as DVC does for a stage; its exit code."""
    forget()
    Path("calls.txt").write_text("")
    options = ("mine.part", "raw", "made", "shared.txt", "--jobs", str(jobs), *options)
    os.environ["DVC_STAGE"] = "part"
    try:
        return cli.main(["map", *options])
    finally:
        del os.environ["DVC_STAGE"]


def called() -> list[str]:
    return sorted(Path("calls.txt").read_text().split())


def from_scratch(*options: str) -> str:
    """The digest of the results when all partitions are computed into an empty folder."""
    Path("made").rename("kept")
    assert lockstep_map(*options) == 0
    made = tree_digest(Path("made"))
    shutil.rmtree("made")
    Path("kept").rename("made")
    return made


def test_only_what_is_new_or_changed_is_computed(workspace: Path, capsys: Capture) -> None:
    assert lockstep_map() == 0
    assert called() == ["a.txt", "b.txt", "c.txt"]
    assert Path("made/deep/c.txt").read_text() == "6!"
    manifest = json.loads(Path("made/_partitions.json").read_text())
    assert manifest["deep/c.txt"]["facts"] == {"number": 3}
    assert "3 partitions: 3 to compute, 0 unchanged\n" in capsys.readouterr().out
    assert lockstep_map() == 0
    assert called() == []
    Path("raw/d.txt").write_text("4")
    Path("raw/a.txt").write_text("5")
    assert lockstep_map() == 0
    assert called() == ["a.txt", "d.txt"]
    assert tree_digest(Path("made")) == from_scratch()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("src/mine/part.py", CODE + "# an edit"),
        ("src/mine/helper.py", "ONE = 1  # an edit\n"),
        ("shared.txt", "?"),
        ("params.yaml", PARAMS.replace("factor: 2", "factor: 3")),
    ],
)
def test_what_all_partitions_depend_on_computes_all(workspace: Path, file: str, text: str) -> None:
    lockstep_map()
    Path(file).write_text(text)
    lockstep_map()
    assert called() == ["a.txt", "b.txt", "c.txt"]


def test_a_param_of_another_stage_computes_none(workspace: Path) -> None:
    lockstep_map()
    Path("params.yaml").write_text(PARAMS.replace("other: 1", "other: 2"))
    lockstep_map()
    assert called() == []


def test_the_results_are_the_same_in_another_folder(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lockstep_map()
    other = tmp_path_factory.mktemp("other")
    build(other)
    monkeypatch.chdir(other)
    monkeypatch.syspath_prepend(other / "src")
    lockstep_map()
    assert tree_digest(Path("made")) == tree_digest(workspace / "made")


def test_the_result_of_a_removed_partition_is_removed(workspace: Path, capsys: Capture) -> None:
    lockstep_map()
    shutil.rmtree("raw/deep")
    assert lockstep_map() == 0
    assert "0 to compute, 2 unchanged, 1 removed" in capsys.readouterr().out
    assert sorted(path.name for path in Path("made").iterdir()) == [
        "_partitions.json",
        "a.txt",
        "b.txt",
    ]


def test_a_result_that_was_edited_is_computed_again(workspace: Path) -> None:
    lockstep_map()
    Path("made/a.txt").write_text("edited")
    Path("made/b.txt").unlink()
    lockstep_map()
    assert called() == ["a.txt", "b.txt"]


def test_a_link_into_the_cache_is_replaced_and_not_written_through(workspace: Path) -> None:
    lockstep_map()
    Path("cache.txt").write_text(Path("made/a.txt").read_text())
    Path("made/a.txt").unlink()
    os.link("cache.txt", "made/a.txt")
    Path("raw/a.txt").write_text("7")
    lockstep_map()
    assert Path("made/a.txt").read_text() == "14!"
    assert Path("cache.txt").read_text() == "2!"


def test_a_bad_partition_is_named_and_the_others_are_kept(workspace: Path, capsys: Capture) -> None:
    Path("raw/b.txt").write_text("bad")
    assert lockstep_map() == 2
    error = capsys.readouterr().err
    assert "1 partition of raw failed:" in error
    assert "b.txt: bad is no number" in error
    assert "fix it" in error
    assert "data.exclude" in error
    Path("raw/b.txt").write_text("2")
    assert lockstep_map() == 0
    assert called() == ["b.txt"]
    assert tree_digest(Path("made")) == from_scratch()


def test_a_partition_that_becomes_bad_does_not_keep_its_old_result(workspace: Path) -> None:
    lockstep_map()
    Path("raw/b.txt").write_text("bad")
    assert lockstep_map() == 2
    assert not Path("made/b.txt").exists()


def test_a_bad_partition_can_be_left_out(workspace: Path) -> None:
    Path("raw/b.txt").write_text("bad")
    assert lockstep_map("--leave-out") == 0
    manifest = json.loads(Path("made/_partitions.json").read_text())
    assert manifest["b.txt"]["problem"] == "bad is no number"
    assert not Path("made/b.txt").exists()
    for name in ("a.txt", "deep/c.txt"):
        (Path("raw") / name).write_text("bad")
    assert lockstep_map("--leave-out") == 2  # for nothing is left


def test_data_exclude_takes_partitions_out_by_name(workspace: Path, capsys: Capture) -> None:
    lockstep_map()
    Path("params.yaml").write_text(PARAMS.replace("[]", "[a.txt, deep/*]"))
    assert lockstep_map() == 0
    assert called() == []
    assert sorted(path.name for path in Path("made").iterdir()) == ["_partitions.json", "b.txt"]
    Path("params.yaml").write_text(PARAMS.replace("[]", "[a.text]"))
    assert lockstep_map() == 2
    assert "did you mean a.txt?" in capsys.readouterr().err


def test_broken_code_is_tried_again_and_a_refusal_is_not(workspace: Path, capsys: Capture) -> None:
    Path("raw/a.txt").write_text("flaky")
    assert lockstep_map("--tries", "3") == 0
    assert called().count("a.txt") == 3
    Path("raw/a.txt").write_text("bad")
    assert lockstep_map("--tries", "3") == 2
    assert called().count("a.txt") == 1
    Path("raw/a.txt").write_text("one")
    assert lockstep_map("--tries", "2") == 2
    assert "a.txt: ValueError: invalid literal" in capsys.readouterr().err
    assert called().count("a.txt") == 2


def test_what_the_code_prints_is_shown_with_the_name(workspace: Path, capsys: Capture) -> None:
    Path("raw/a.txt").write_text("told")
    lockstep_map()
    assert "a.txt: it is odd" in capsys.readouterr().out


def test_several_processes_and_one_that_dies(workspace: Path, capsys: Capture) -> None:
    Path("raw/b.txt").write_text("dies")
    assert lockstep_map(jobs=2) == 2
    assert "b.txt: the process died" in capsys.readouterr().err
    Path("raw/b.txt").write_text("2")
    assert lockstep_map(jobs=2) == 0
    assert tree_digest(Path("made")) == from_scratch()


def test_prepare_comes_first_and_may_write_what_all_read(workspace: Path) -> None:
    code = (
        CODE
        + """
def prepare(cfg, folder, partitions, shared):
    shared.write_text(f"{folder}{len(partitions)}")
"""
    )
    Path("src/mine/part.py").write_text(code)
    lockstep_map()
    assert Path("made/a.txt").read_text() == "2raw3"


def test_a_foreign_file_among_the_results_is_refused(workspace: Path, capsys: Capture) -> None:
    Path("made").mkdir()
    Path("made/mine.txt").write_text("precious")
    assert lockstep_map() == 2
    assert "made/mine.txt is not listed in _partitions.json" in capsys.readouterr().err
    assert Path("made/mine.txt").read_text() == "precious"


def test_what_cannot_be_mapped_is_refused(workspace: Path, capsys: Capture) -> None:
    Path("raw/a.csv").write_text("1")
    assert lockstep_map("--suffix", ".parquet") == 2
    assert "a.csv and a.txt have the same result, a.parquet" in capsys.readouterr().err
    shutil.rmtree("raw")
    assert lockstep_map() == 2
    assert "raw is not a folder" in capsys.readouterr().err
    Path("raw").mkdir()
    assert lockstep_map() == 2
    assert "raw has no files" in capsys.readouterr().err


@pytest.mark.parametrize("written", [0, 1, 2])
def test_killed_anywhere_and_run_again_it_is_right(workspace: Path, written: int) -> None:
    # A kill after some results, and before what the manifest would say about them.
    lockstep_map()
    for name in ("a.txt", "b.txt", "deep/c.txt"):
        (Path("raw") / name).write_text("9")
    done = Path("src/mine/part.py").read_text()
    stop = (
        f"    if len(Path('calls.txt').read_text().split()) >= {written}: os.kill(os.getpid(), 9)"
    )
    killed = done.replace(
        "    number = partition", f"    import os\n{stop}\n    number = partition"
    )
    Path("src/mine/part.py").write_text(killed)
    Path("calls.txt").write_text("")
    words = ["map", "mine.part", "raw", "made", "shared.txt", "--jobs", "1"]
    path = os.pathsep.join(["src", *sys.path])
    env = {**os.environ, "DVC_STAGE": "part", "PYTHONPATH": path}
    code = subprocess.run([sys.executable, "-m", "lockstep", *words], env=env).returncode
    assert code not in (0, 2)
    for name in ("a.txt", "b.txt"):  # back to what the manifest knows
        (Path("raw") / name).write_text("1" if name == "a.txt" else "2")
    Path("src/mine/part.py").write_text(done)
    assert lockstep_map() == 0
    assert Path("made/a.txt").read_text() == "2!"
    assert Path("made/deep/c.txt").read_text() == "18!"
    assert tree_digest(Path("made")) == from_scratch()


NAMES = st.sampled_from(["a.txt", "b.txt", "deep/c.txt", "deep/d.txt", "e.txt"])
EDITS = st.lists(st.tuples(NAMES, st.sampled_from(["", "1", "2", "bad"])), max_size=3)


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(EDITS, max_size=4))
def test_step_by_step_gives_the_same_as_from_scratch(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[tuple[str, str]]]
) -> None:
    folder = tmp_path_factory.mktemp("steps")
    build(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder / "src")
        for edits in steps:
            for name, text in edits:
                path = Path("raw", name)
                path.unlink(missing_ok=True)
                if text:
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(text)
            lockstep_map("--leave-out")
        Path("raw/z.txt").write_text("1")
        assert lockstep_map("--leave-out") == 0
        assert tree_digest(Path("made")) == from_scratch("--leave-out")
    forget()


def test_a_partition_is_traced_to_the_models_that_saw_it(tiny_published: Tiny) -> None:
    project = tiny_published
    project.edit("dvc.yaml", "meta:\n", "meta:\n      partitions: reports/partitions.csv\n")
    project.write("data/months.dvc", "outs: [{path: months}]\n")
    project.write("data/months/2013-07.csv", "x,y\n1,2\n")
    lines = [
        "partition,md5,rows,first,last,train,test",
        "2013-07.csv,ab,3,,,2,1",
        "bad.csv,c,9,,,0,0",
    ]
    with project.entered():
        store = Project(project.path).store
        client = store.client()
        (run,) = finished(client, store.experiment_id(client))
    artifacts = f"mlartifacts/toy/{run.info.run_id}/artifacts"  # MLflow remembers another copy's
    project.write(f"{artifacts}/reports/partitions.csv", "\n".join(lines))
    found = json.loads(project.lockstep("trace", "data/months/2013-07.csv", "--json"))
    (used,) = found["used_in"]["runs"]
    assert used["rows"] == "2 to train, 1 to test"
    assert used["with another content"] == "ab"
    assert [version["model"] for version in used["models"]] == ["toy"]
    (project.path / "data/months/2013-07.csv").unlink()
    shown = project.lockstep("trace", "data/months/2013-07.csv")
    assert "not in the folder any more" in shown
    assert "version: 1" in shown
    assert "is not a run" in project.lockstep("trace", "data/months/bad.csv", ok=False)
