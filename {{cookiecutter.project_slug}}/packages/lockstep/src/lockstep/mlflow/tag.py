"""The tags by which runs and versions are found again: one name, one meaning.

They stand on runs in people's stores, so a name that was published once stays.
"""

# On a run and its version: the digest of the pipeline state that they show.
STATE = "lockstep.state"
# On a run: the commit with the code behind it, refs/lockstep/<state> in git and
# snapshot.bundle among the artifacts.
SNAPSHOT = "git.snapshot"
# On a run: what each stage read and wrote; `stage.train` holds its md5s.
STAGE_PREFIX = "stage."
# On a version: the md5 of the data that no stage made.
DATA = "dvc.data"

# MLflow's own.
PARENT = "mlflow.parentRunId"  # the MLflow UI nests runs by it
NOTE = "mlflow.note.content"  # the Markdown that heads a page
COMMIT = "mlflow.source.git.commit"

# On a run and its version: what the gate decided, why, against which champion, by which rules.
VERDICT = "gate.verdict"
REASONS = "gate.reasons"
GATE_CHAMPION = "gate.champion"
RULES = "gate.rules"

# On a registered model: its champions in order, the present one last.
CHAMPION_HISTORY = "champion.history"

# On a sweep and its trials, and on the run that a trial became.
SWEEP = "sweep"
TRIAL = "sweep.trial"
SWEEP_RUN = "sweep.run"

# What MLflow takes: https://mlflow.org/docs/latest/ml/tracking/
PARAM_LENGTH = 6000
RUN_TAG_LENGTH = 8000
VERSION_TAG_LENGTH = 5000  # the columns of a version in MLflow's database
