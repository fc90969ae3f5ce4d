"""DVC: what dvc.yaml declares, what dvc.lock records, the cache and the remote."""
