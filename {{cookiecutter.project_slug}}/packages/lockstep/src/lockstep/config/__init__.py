"""Hydra: compose conf/ into params.yaml and check it."""
