"""Measure the share of runs that come out bit-identical when they are rebuilt.

    .venv/bin/python benchmarks/share.py                            all of it: about two hours
    .venv/bin/python benchmarks/share.py --task classification --models logistic svm
    .venv/bin/python benchmarks/share.py --ways dirty temp --models knn

Each cell of the table is one run, made in one way with one of the shipped models, and rebuilt with
`lockstep reproduce`, in the environment that is there; `--locked` has uv install the locked one.
A cell takes about half a minute.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import TEMPLATE, Lab

TARGETS = {"classification": "species", "regression": "body_mass_g"}
# In data/, what is no output of a stage.
TRACKED = ("raw.csv", "raw.csv.dvc", ".gitignore")
LUCK = '"""Never committed."""\n\nLUCK = {}\n'


class Life:
    """A project in which runs are made in many ways, each with its own seed."""

    def __init__(self, lab: Lab, task: str) -> None:
        """Scaffold it, with git and DVC remotes beside it."""
        self.lab = lab
        self.project = lab.scaffold(
            f"penguins-{task}", task=task, target_column=TARGETS[task], create_environment="false",
        )  # fmt: skip
        shutil.copy(lab.project / "uv.lock", self.project)
        self.hub = lab.folder / f"{task}.git"
        lab.run(["git", "init", "--quiet", "--bare", "-b", "main", str(self.hub)], lab.folder)
        self.git("remote", "add", "origin", str(self.hub))
        self.commit()
        self.seed = 0

    def git(self, *words: str) -> None:
        """Run git in the project."""
        self.lab.run(["git", *words], self.project)

    def commit(self) -> None:
        """Commit everything."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "work")

    def choose(self, model: str) -> None:
        """Set the model in conf/, and another seed; all that was there before is committed."""
        self.commit()
        self.seed += 1
        config = self.project / "conf/config.yaml"
        config.write_text(re.sub(r"- model: \w+", f"- model: {model}", config.read_text()))
        for path in (self.project / "conf/split").glob("*.yaml"):
            path.write_text(re.sub(r"seed: \d+", f"seed: {self.seed}", path.read_text()))

    def repro(self) -> str:
        """Run the pipeline; the id of the run."""
        self.lab.run(["lockstep", "compose", "--force"], self.project)
        return run_id(self.lab.output(["dvc", "repro"], self.project))

    def experiment(self, model: str, *options: str) -> str:
        """Run a DVC experiment; its name."""
        self.commit()
        self.seed += 1
        name = f"seed-{self.seed}"
        overrides = ("-S", f"model={model}", "-S", f"split.seed={self.seed}", "--name", name)
        self.lab.run(["dvc", "exp", "run", *options, *overrides], self.project)
        return name


def clean(life: Life, model: str) -> tuple[str, Path]:
    """Everything is committed before it runs."""
    life.choose(model)
    life.commit()
    return life.repro(), life.project


def dirty(life: Life, model: str) -> tuple[str, Path]:
    """The config and the code of a stage are edited and not committed."""
    life.choose(model)
    source = life.project / "src/penguins/split.py"
    source.write_text(source.read_text() + f"\n# idea {life.seed}\n")
    return life.repro(), life.project


def untracked(life: Life, model: str) -> tuple[str, Path]:
    """A stage imports a module that git does not know."""
    life.choose(model)
    source = life.project / "src/penguins/split.py"
    above, name = "from pathlib import Path\n", f"extra_{life.seed}"
    text = source.read_text().replace(above, f"{above}\nfrom .{name} import LUCK  # noqa: F401\n")
    source.write_text(text)
    source.with_name(f"{name}.py").write_text(LUCK.format(life.seed))
    return life.repro(), life.project


def exp(life: Life, model: str) -> tuple[str, Path]:
    """`dvc exp run` in the workspace."""
    return life.experiment(model), life.project


def queue(life: Life, model: str) -> tuple[str, Path]:
    """`dvc exp run --queue`, by a worker."""
    name = life.experiment(model, "--queue")
    life.lab.run(["dvc", "exp", "run", "--run-all"], life.project)
    return name, life.project


def temp(life: Life, model: str) -> tuple[str, Path]:
    """`dvc exp run --temp`."""
    return life.experiment(model, "--temp"), life.project


def restored(life: Life, model: str) -> tuple[str, Path]:
    """The outputs come back from DVC's cache, the run from `publish`."""
    life.choose(model)
    life.repro()
    for name in ("data", "models", "plots", "reports", "mlartifacts"):
        for path in (life.project / name).iterdir():
            if path.name not in TRACKED:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("mlflow.db", "dvc.lock"):
        (life.project / name).unlink()
    return life.repro(), life.project


def moved(life: Life, model: str) -> tuple[str, Path]:
    """The project's folder is somewhere else by now."""
    life.choose(model)
    run = life.repro()
    place = life.lab.folder / "elsewhere" / "renamed"
    shutil.rmtree(place.parent, ignore_errors=True)
    shutil.copytree(life.project, place, symlinks=True)
    return run, place


def clone(life: Life, model: str) -> tuple[str, Path]:
    """Another clone, with only what git, DVC and MLflow share."""
    run, _ = dirty(life, model)
    life.git("push", "--quiet", "--force", "origin", "HEAD:main")
    life.lab.run(["dvc", "push"], life.project)
    place = life.lab.folder / "cloned" / "penguins"
    shutil.rmtree(place.parent, ignore_errors=True)
    life.lab.run(["git", "clone", "--quiet", str(life.hub), str(place)], life.lab.folder)
    url = life.lab.output(["dvc", "config", "remote.storage.url"], life.project).strip()
    remote = str((life.project / ".dvc" / url).resolve())
    life.lab.run(["dvc", "remote", "modify", "--local", "storage", "url", remote], place)
    shutil.copy(life.project / "mlflow.db", place)  # in place of a server
    shutil.copytree(life.project / "mlartifacts", place / "mlartifacts")
    return run, place


WAYS: dict[str, Callable[[Life, str], tuple[str, Path]]] = {
    way.__name__: way
    for way in (clean, dirty, untracked, exp, queue, temp, restored, moved, clone)
}  # fmt: skip


def run_id(output: str) -> str:
    """The run that `publish` tells of."""
    found = re.search(r"/runs/([0-9a-f]{32})", output)
    if found is None:
        sys.exit(f"no run was published:\n{output}")
    return found[1]


def main() -> None:
    """Fill the table."""
    shipped = TEMPLATE / "{{cookiecutter.project_slug}}" / "conf" / "model"
    common = sorted(path.stem for path in shipped.glob("*.yaml") if "{" not in path.name)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--task", choices=TARGETS)
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--locked", action="store_true")
    given = parser.parse_args()
    rebuild = ["lockstep", "reproduce", *([] if given.locked else ["--current-environment"])]
    verdicts: list[str] = []
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        lab = Lab(Path(folder))
        for task in [given.task] if given.task else TARGETS:
            models = given.models or [*common, {"classification": "logistic"}.get(task, "ridge")]
            life = Life(lab, task)
            print(f"\n{task:24}" + "".join(f"{way:>12}" for way in given.ways))
            for model in models:
                reasons = []
                print(f"{model:24}", end="", flush=True)
                for way in given.ways:
                    run, place = WAYS[way](life, model)
                    done = subprocess.run(
                        [*rebuild, run], cwd=place, env=lab.env, text=True,
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    )  # fmt: skip
                    verdicts.append(verdict_of(done.stdout))
                    print(f"{verdicts[-1]:>12}", end="", flush=True)
                    if verdicts[-1] != "identical":
                        reasons.append(f"  {way}: {done.stdout[-1500:]}")
                print("", *reasons, sep="\n")
    same = verdicts.count("identical")
    print(f"\nidentical: {same} of {len(verdicts)} ({same / len(verdicts):.0%})")


def verdict_of(output: str) -> str:
    """What `reproduce` came to."""
    found = re.search(r": (identical|same metrics|different)$", output, re.MULTILINE)
    return found[1] if found else "failed"


if __name__ == "__main__":
    main()
