"""Make the data."""

import numpy as np
import pandas as pd


def main(cfg, train, test):
    """Run the stage: every fourth row tests the model."""
    random = np.random.default_rng(cfg.data.seed)
    table = pd.DataFrame(random.uniform(-3, 3, (cfg.data.rows, 2)), columns=["a", "b"])
    table[cfg.data.target] = np.sin(table["a"]) + table["b"] / 2
    table[table.index % 4 != 0].to_parquet(train)
    table[table.index % 4 == 0].to_parquet(test)
