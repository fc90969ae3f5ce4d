"""The net, and how to load it: MLflow packages this module with the model."""

import json
from pathlib import Path

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn


class Net(nn.Module):
    """Predicts a number from some columns.

    Attributes:
        about: What its constructor takes.
    """

    def __init__(self, columns: list[str], hidden: int) -> None:
        """Create the layers."""
        super().__init__()
        self.about = {"columns": columns, "hidden": hidden}
        self.layers = nn.Sequential(
            nn.Linear(len(columns), hidden), nn.Tanh(), nn.Dropout(0.05), nn.Linear(hidden, 1)
        )

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The predictions, shape (rows,)."""
        return self.layers(rows).squeeze(1)

    def tensor(self, table: pd.DataFrame) -> torch.Tensor:
        """The columns of a table as the net takes them, on its device."""
        rows = torch.from_numpy(table[self.about["columns"]].to_numpy("float32", copy=True))
        return rows.to(next(self.parameters()).device)

    def predict(self, table: pd.DataFrame) -> "pd.Series[float]":
        """The predictions for a table."""
        with torch.no_grad():
            return pd.Series(self(self.tensor(table)).cpu().numpy(), index=table.index)


def save(net: Net, path: Path) -> None:
    """Write a net: numbers, and what its constructor takes; no code."""
    # In one value, as safetensors does not keep the order of several.
    save_file(net.cpu().state_dict(), path, metadata={"about": json.dumps(net.about)})


def load(path: Path) -> Net:
    """Read a net."""
    with safe_open(path, "pt") as file:
        net = Net(**json.loads(file.metadata()["about"]))
    net.load_state_dict(load_file(path))
    return net.eval()
