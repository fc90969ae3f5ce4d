"""A registered version as something that predicts: its columns, its model, where it came from.

It imports neither MLflow nor DVC: a container needs none of them to answer.
"""
