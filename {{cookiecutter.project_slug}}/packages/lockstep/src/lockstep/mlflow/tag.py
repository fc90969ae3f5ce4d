"""The names of the tags on runs and versions: one name, one meaning.

Runs in people's stores have them, so a published name never changes.
"""

# On a run and its version: the digest of the pipeline state that they show.
STATE = "lockstep.state"
# On a run: the commit with the code behind it, refs/lockstep/<state> in git and
# snapshot.bundle among the artifacts.
SNAPSHOT = "git.snapshot"
# On a run: the first digits of the md5 of everything that its stages read and wrote.
FILES = "dvc.files"
# On a run published before 0.5, in place of FILES and environment.json: what each stage read and
# wrote, as JSON; and the versions of the packages.
STAGE_PREFIX = "stage."
# On a run: what its stages warn of, one line each.
WARNINGS = "warnings"
PACKAGE_PREFIX = "package."
PLATFORM = "system.platform"
# On a run: the model and its deciding metric, for people.
RESULT = "result"
OVERRIDES = "overrides"
# On the run of a live training: the machine and the number of the process that streams to it.
PROCESS = "lockstep.process"
# On a version: the md5 of the data that no stage made.
DATA = "dvc.data"

# On a run: the DVC experiment, and the files that differed from the commit.
EXPERIMENT = "dvc.experiment"
CHANGED = "git.changed"

# MLflow's own.
PARENT = "mlflow.parentRunId"  # the MLflow UI nests runs by it
NOTE = "mlflow.note.content"  # the Markdown that heads a page
COMMIT = "mlflow.source.git.commit"
BRANCH = "mlflow.source.git.branch"
REPOSITORY = "mlflow.source.git.repoURL"
USER = "mlflow.user"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"

# On a run: what the gate decided (on its version, too), why, against which champion, by which
# rules.
VERDICT = "gate.verdict"
REASONS = "gate.reasons"
GATE_CHAMPION = "gate.champion"
RULES = "gate.rules"
JUDGEMENT = (VERDICT, REASONS, GATE_CHAMPION, RULES)

# On a registered model: its champions in order, the current one last.
CHAMPION_HISTORY = "champion.history"

# On a sweep and its trials, and on the run that a trial became.
SWEEP = "sweep"
TRIAL = "sweep.trial"
SWEEP_RUN = "sweep.run"

# On the run of a version's monitoring: the version's run; the verdict on the newest window, which
# the version has, too; and the kinds of what was found in it.
MONITORED = "monitor.run"
MONITOR_VERDICT = "monitor.verdict"
MONITOR_KINDS = "monitor.findings"

# On a run of `lockstep predict`: the version's run, and the identity of what it predicted.
PREDICTED = "predict.run"
PREDICTION = "predict.identity"

# On a run that `lockstep retrain` made: why.
RETRAIN_REASON = "retrain.reason"

# The longest values that MLflow accepts: https://mlflow.org/docs/latest/ml/tracking/
PARAM_LENGTH = 6000
RUN_TAG_LENGTH = 8000
EXPERIMENT_TAG_LENGTH = 5000
VERSION_TAG_LENGTH = 5000  # the columns of a version in MLflow's database
