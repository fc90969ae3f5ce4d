"""Measure what a sweep costs beside other ways to try as many configs, in the same run.

    .venv/bin/python benchmarks/sweep.py peers                  100 trials, each way
    .venv/bin/python benchmarks/sweep.py peers --trials 1000 --only lockstep optuna
    .venv/bin/python benchmarks/sweep.py workers                1 and 2 local processes
    .venv/bin/python benchmarks/sweep.py ray                    1 and more workers of a Ray cluster

All ways score the same forests on the same folds with the project's own functions, in two
processes. `optuna`: workers on a shared journal, nothing tracked. `hydra`: Hydra's multirun with
its joblib launcher, each job logs to MLflow. `queue`: `dvc exp run --queue`, which runs the
pipeline from `train` on; ten of them, the time scaled. Medians are printed.
"""

import argparse
import itertools
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL

from measure import Lab, ratio, show, take_turns

TREES = 30
QUEUED = 10
PLAIN = """
import subprocess, sys
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

name, trials, workers, role = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = JournalStorage(JournalFileBackend(f"{name}.journal"))
if role == "driver":
    optuna.create_study(study_name=name, storage=storage, direction="maximize")
    command = [sys.executable, __file__, *sys.argv[1:4], "worker"]
    processes = [subprocess.Popen(command) for _ in range(workers)]
    sys.exit(max(process.wait() for process in processes))

from omegaconf import OmegaConf
from penguins.tune import CrossValidation

cfg = OmegaConf.load("params.yaml")
score = CrossValidation("data/train.parquet", data=cfg.data, split=cfg.split, metric="accuracy",
                        folds=5)
cfg.model.n_estimators = TREES

def objective(trial):
    cfg.model.max_features = trial.suggest_float("max_features", 0.1, 1.0)
    cfg.model.min_samples_leaf = trial.suggest_int("min_samples_leaf", 1, 20, log=True)
    return list(score(cfg))[-1]

study = optuna.load_study(study_name=name, storage=storage,
                          sampler=optuna.samplers.TPESampler(constant_liar=True))
study.optimize(objective, callbacks=[optuna.study.MaxTrialsCallback(trials, states=None)])
""".replace("TREES", str(TREES))
HYDRA = """
import hydra
from hydra.utils import to_absolute_path

@hydra.main(config_path="conf", config_name="config", version_base=None)
def main(cfg):
    import mlflow
    from penguins.tune import CrossValidation
    table = to_absolute_path("data/train.parquet")
    score = CrossValidation(table, data=cfg.data, split=cfg.split, metric="accuracy", folds=5)
    values = list(score(cfg))
    mlflow.set_tracking_uri("sqlite:///" + to_absolute_path("mlflow.db"))
    mlflow.set_experiment("hydra")
    with mlflow.start_run():
        mlflow.log_params({"max_features": cfg.model.max_features,
                           "min_samples_leaf": cfg.model.min_samples_leaf})
        for step, value in enumerate(values):
            mlflow.log_metric("validation.accuracy", value, step=step)

main()
"""


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("peers", "workers", "ray"))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=("lockstep", "optuna", "hydra", "queue"))
    parser.add_argument("--most", type=int, default=2, help="workers to scale to (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(
        prefix="lockstep-bench-", ignore_cleanup_errors=True
    ) as folder:
        bench = Bench(Lab(Path(folder)), given.trials)
        if given.what == "peers":
            peers(bench, given.rounds, given.only or ["lockstep", "optuna", "hydra", "queue"])
        else:
            scaling(bench, given.rounds, given.what, given.most)


class Bench:
    """The ways to try many configs, in one project."""

    def __init__(self, lab: Lab, trials: int) -> None:
        self.lab, self.project, self.trials = lab, lab.project, trials
        self._numbers = itertools.count()
        lab.run(["dvc", "repro"], self.project)
        (self.project / "plain.py").write_text(PLAIN)
        (self.project / "hydra_app.py").write_text(HYDRA)

    def install(self, *packages: str) -> None:
        """Add packages to the project's environment."""
        python = str(next(self.project.glob(".venv/*/python")))
        self.lab.run(
            ["uv", "pip", "install", "--quiet", "--python", python, *packages], self.project
        )

    def lockstep(self, *words: str) -> None:
        """`lockstep sweep`."""
        name = f"sweep.name=bench-{next(self._numbers)}"
        fixed = [f"model.n_estimators={TREES}", f"sweep.n_trials={self.trials}", name]
        self.lab.run(["lockstep", "sweep", *fixed, "sweep.pruner=null", *words], self.project)

    def optuna(self) -> None:
        """Workers on a shared journal."""
        name = f"plain-{next(self._numbers)}"
        self.lab.run(["python", "plain.py", name, str(self.trials), "2", "driver"], self.project)

    def hydra(self) -> None:
        """Hydra's multirun with its joblib launcher."""
        leaves = range(1, 11)
        shares = [0.1 + 0.9 * i / (self.trials / 10) for i in range(self.trials // 10)]
        self.lab.run(
            ["python", "hydra_app.py", "--multirun", "hydra/launcher=joblib"]
            + ["hydra.launcher.n_jobs=2", f"model.n_estimators={TREES}"]
            + [f"model.max_features={','.join(map(str, shares))}"]
            + [f"model.min_samples_leaf={','.join(map(str, leaves))}"],
            self.project,
        )

    def queue(self) -> None:
        """DVC's own queue, with two workers."""
        number = next(self._numbers)
        shares = ",".join(str(0.1 + 0.08 * i + number / 1e4) for i in range(QUEUED))
        queued = [
            "--queue",
            "-S",
            f"model.n_estimators={TREES}",
            "-S",
            f"model.max_features={shares}",
        ]
        self.lab.run(["dvc", "exp", "run", *queued], self.project)
        # Its workers would hold a pipe open, for longer than they have work.
        start = ["dvc", "queue", "start", "--jobs", "2"]
        subprocess.run(start, cwd=self.project, env=self.lab.env, check=True, stdout=DEVNULL)
        while True:
            status = self.lab.output(["dvc", "queue", "status"], self.project)
            if "Queued" not in status and "Running" not in status:
                break
            time.sleep(1)
        assert status.count("Success") == QUEUED, status
        self.lab.run(["dvc", "queue", "stop"], self.project)  # one of two may stay for ever


def peers(bench: Bench, rounds: int, ways: list[str]) -> None:
    """All ways, in turn; the queue once."""
    if "hydra" in ways:
        bench.install("hydra-joblib-launcher<1.4")
    commands: dict[str, Callable[[], None]] = {
        way: getattr(bench, way) for way in ways if way != "queue"
    }
    times = take_turns(rounds, commands)
    if "queue" in ways:
        start = time.perf_counter()
        bench.queue()
        times["queue"] = [(time.perf_counter() - start) * bench.trials / QUEUED] * rounds
    show(times)
    if "optuna" in ways:
        ratio(times, "lockstep", "optuna", aim=1.1)
    for way in ("hydra", "queue"):
        if way in ways:
            ratio(times, way, "lockstep")


def scaling(bench: Bench, rounds: int, engine: str, most: int) -> None:
    """One worker, and more."""
    words = []
    if engine == "ray":
        bench.install("ray>=2.50,<3")
        words = ["sweep/engine=ray"]
    counts = [count for count in (1, 2, 4, 8, 16) if count <= most]

    def command(count: int) -> Callable[[], None]:
        return lambda: bench.lockstep(*words, f"sweep.engine.workers={count}")

    times = take_turns(rounds, {f"{count} workers": command(count) for count in counts})
    show(times)
    one = statistics.median(times["1 workers"])
    for count in counts:
        speed = one / statistics.median(times[f"{count} workers"])
        print(f"{count} workers: {speed:.2f} times as fast as one")


if __name__ == "__main__":
    main()
