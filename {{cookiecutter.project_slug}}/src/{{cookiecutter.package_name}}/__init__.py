"""The stages of the pipeline, one module each; dvc.yaml lists what each reads and writes."""
