"""Sharing a project: the branch's remote, the commits to share, and the steps of a push or pull."""
