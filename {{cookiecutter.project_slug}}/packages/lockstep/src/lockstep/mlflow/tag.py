"""The names of the tags on runs and versions: one name, one meaning.

Runs in people's stores have them, so a published name never changes.
"""

# On a run and its version: the digest of the pipeline state that they show.
STATE = "lockstep.state"
# On a run: the commit with the code behind it, refs/lockstep/<state> in git and
# snapshot.bundle among the artifacts.
SNAPSHOT = "git.snapshot"
# On a run: what each stage read and wrote; `stage.train` holds its md5s.
STAGE_PREFIX = "stage."
# On a run: what its stages warn of, one line each.
WARNINGS = "warnings"
# On a version: the md5 of the data that no stage made.
DATA = "dvc.data"

# On a run and its version: the DVC experiment, and whether files differed from the commit.
EXPERIMENT = "dvc.experiment"
DIRTY = "git.dirty"
# On a run: the files that differed, and the commit that the DVC experiment started from.
CHANGED = "git.changed"
BASELINE = "dvc.baseline"
# On a run: the versions of this package and of the template that published it.
LOCKSTEP_VERSION = "lockstep.version"
TEMPLATE_VERSION = "lockstep.template"

# MLflow's own.
PARENT = "mlflow.parentRunId"  # the MLflow UI nests runs by it
NOTE = "mlflow.note.content"  # the Markdown that heads a page
COMMIT = "mlflow.source.git.commit"
BRANCH = "mlflow.source.git.branch"
REPOSITORY = "mlflow.source.git.repoURL"
USER = "mlflow.user"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"

# On a run and its version: what the gate decided, why, against which champion, by which rules.
VERDICT = "gate.verdict"
REASONS = "gate.reasons"
GATE_CHAMPION = "gate.champion"
RULES = "gate.rules"

# On a registered model: its champions in order, the current one last.
CHAMPION_HISTORY = "champion.history"

# On a sweep and its trials, and on the run that a trial became.
SWEEP = "sweep"
TRIAL = "sweep.trial"
SWEEP_RUN = "sweep.run"

# On the run of a version's monitoring: the version's run, and the verdict on the newest window.
MONITORED = "monitor.run"
MONITOR_VERDICT = "monitor.verdict"

# On a run that `lockstep retrain` made: why.
RETRAIN_REASON = "retrain.reason"

# The longest values that MLflow accepts: https://mlflow.org/docs/latest/ml/tracking/
PARAM_LENGTH = 6000
RUN_TAG_LENGTH = 8000
VERSION_TAG_LENGTH = 5000  # the columns of a version in MLflow's database
