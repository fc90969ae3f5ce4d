"""Score a config for `lockstep sweep`: learn from most training rows, measure on the others."""

import pandas as pd

from .train import learn, prepare


class Objective:
    """The error on every fourth training row, after each epoch."""

    def __init__(self, train, *, target):
        """Read the data once for all trials."""
        table = pd.read_parquet(train).reset_index(drop=True)
        self.train, self.rest = table[table.index % 4 != 0], table[table.index % 4 == 0]
        self.target = target

    def __call__(self, cfg):
        """Yield the metric after each epoch; a pruner may stop it early."""
        net, optimizer, rows, target = prepare(cfg, self.train)
        for _ in range(cfg.model.epochs):
            learn(net, optimizer, rows, target, cfg.model.batch)
            predicted = net.eval().predict(self.rest)
            yield float((predicted - self.rest[self.target]).abs().mean())
