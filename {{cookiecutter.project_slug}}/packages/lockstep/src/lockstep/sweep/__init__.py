"""Many trials of the train stage, searched by Optuna and shown in MLflow as one run with children.

One process drives a sweep: it draws the trials (`trials`), starts workers (`pool`, `engines`) and
records what they report (`study`). Workers only score. Hydra's own multirun was not used: its
sweeper hands out trials in rounds and waits for the slowest of each, composes conf/ for every
trial, cannot prune, and supports Optuna 2 only, except for the release candidates of its 1.4.
"""
