"""Many trials of the train stage, searched by Optuna, shown in MLflow as one family.

Workers ask Optuna's storage for trial after trial. Hydra's own multirun was weighed against that:
its sweeper gives out trials in rounds and waits for the slowest of each, composes conf/ anew for
every trial, cannot prune, and is pinned to Optuna 2 but for the release candidates of its 1.4
(100 trials of a small forest on two cores took it 1.8 times as long, untracked). What is Hydra's is
how a sweep is said: its override grammar and its config groups.
"""
