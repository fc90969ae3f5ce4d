"""The stages of the pipeline, a module each; dvc.yaml tells which reads and writes what."""
