"""Train the net; killed, it goes on from its checkpoint and ends with the same bytes."""

import hashlib
from pathlib import Path

import pandas as pd
import torch
from omegaconf import OmegaConf
from torch import nn

from lockstep.history import history

from .net import Net, save


def main(cfg, train, checkpoint, model, example, history_file):
    """Run the stage."""
    table = pd.read_parquet(train)
    table.drop(columns=cfg.data.target)[:5].to_parquet(example)
    net, optimizer, rows, target = prepare(cfg, table)
    origin = digest(cfg, train)
    losses = resume(checkpoint, origin, net, optimizer)
    with history(history_file) as log:
        for epoch, loss in enumerate(losses):
            log(step=epoch, train_loss=loss)
        for epoch in range(len(losses), cfg.model.epochs):
            torch.manual_seed(cfg.model.seed + epoch)  # as if it had never stopped
            losses.append(learn(net, optimizer, rows, target, cfg.model.batch))
            log(step=epoch, train_loss=losses[-1])
            keep(checkpoint, origin, net, optimizer, losses)
    save(net, model)
    checkpoint.unlink(missing_ok=True)


def prepare(cfg, table):
    """A net that has learned nothing, its optimizer, and the data on its device."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(cfg.model.threads)  # it decides the order of sums
    torch.manual_seed(cfg.model.seed)
    features = table.drop(columns=cfg.data.target)
    net = Net(list(features), cfg.model.hidden).to(cfg.model.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=cfg.model.lr)
    target = torch.tensor(table[cfg.data.target].to_numpy("float32")).to(cfg.model.device)
    return net, optimizer, net.tensor(features), target


def learn(net, optimizer, rows, target, batch):
    """One epoch; its mean loss."""
    net.train()
    total = 0.0
    for chosen in torch.randperm(len(rows)).split(batch):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(rows[chosen]), target[chosen])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(chosen)
    return total / len(rows)


def digest(cfg, train: Path) -> str:
    """What a checkpoint belongs to: the params and the data."""
    return hashlib.sha256(OmegaConf.to_yaml(cfg).encode() + train.read_bytes()).hexdigest()


def keep(checkpoint: Path, origin: str, net, optimizer, losses) -> None:
    """Write a checkpoint; one that is half written never takes its place."""
    state = {"origin": origin, "losses": losses}
    state |= {"net": net.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, part := checkpoint.with_suffix(".part"))
    part.replace(checkpoint)


def resume(checkpoint: Path, origin: str, net, optimizer) -> list[float]:
    """Go on from a checkpoint; the losses so far, none without one of the same origin."""
    if not checkpoint.exists():
        return []
    state = torch.load(checkpoint, weights_only=True)
    if state["origin"] != origin:
        return []
    net.load_state_dict(state["net"])
    optimizer.load_state_dict(state["optimizer"])
    print(f"resumes after {len(state['losses'])} epochs")
    return list(state["losses"])
