"""The process that works beside this one."""

import concurrent.futures
import os
import time
from pathlib import Path

import pytest

from lockstep.processes import ProcessError, process_beside


@pytest.fixture(autouse=True)
def _no_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process, too, leaves nothing in the template's folder."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


def where(name: str) -> tuple[int, str, str]:
    """The process, its folder, and the text of the workspace's own module."""
    module = __import__(name)
    return os.getpid(), os.getcwd(), module.TEXT  # noqa: PTH109


def fail(text: str) -> None:
    """Fail as a model's own code may."""
    print("printed before")

    class OfNobodyElse(BaseException):
        """Cannot be pickled."""

    raise OfNobodyElse(text)


def unpicklable() -> object:
    """Return what cannot be sent to another process."""
    return lambda: None


def die() -> None:
    """End the process as the system does when memory is short."""
    os._exit(9)


def workspace(folder: Path, name: str) -> Path:
    (folder / name / "src").mkdir(parents=True)
    (folder / name / "src" / "own_module.py").write_text(f"TEXT = {name!r}")
    return folder / name


def test_each_call_gets_the_code_of_its_workspace(tmp_path: Path) -> None:
    one, two = workspace(tmp_path, "one"), workspace(tmp_path, "two")
    with process_beside() as submit:
        answers = [submit(place, where, "own_module") for place in (one, two, one)]
        first, second, third = (answer.result() for answer in answers)
    assert [first[2], second[2], third[2]] == ["one", "two", "one"]
    assert [Path(first[1]), Path(second[1])] == [one.resolve(), two.resolve()]
    assert first[0] == second[0] != os.getpid()


def test_what_fails_is_reported_and_the_next_call_works(tmp_path: Path) -> None:
    place = workspace(tmp_path, "one")
    with process_beside() as submit:
        with pytest.raises(ProcessError, match=r"printed before[\s\S]*OfNobodyElse: in words"):
            submit(place, fail, "in words").result()
        with pytest.raises(ProcessError, match="pickle"):
            submit(place, unpicklable).result()
        with pytest.raises(ProcessError, match="the process died"):
            submit(place, die).result()
        assert submit(place, where, "own_module").result()[2] == "one"


def test_the_end_of_the_block_does_not_wait_for_the_process(tmp_path: Path) -> None:
    start = time.monotonic()
    with process_beside() as submit:
        running, waiting = submit(tmp_path, time.sleep, 60), submit(tmp_path, time.sleep, 60)
        time.sleep(0.2)
    assert time.monotonic() - start < 50
    with pytest.raises(ProcessError):
        running.result()
    with pytest.raises((ProcessError, concurrent.futures.CancelledError)):
        waiting.result()
