"""The folders of Hugging Face and spaCy."""

import json
import os
from pathlib import Path

from lockstep.adapters.kind import Kind

# What Hugging Face calls a task, by the end of a class such as BertForSequenceClassification.
TASKS = {
    "CausalLM": "text-generation",
    "MaskedLM": "fill-mask",
    "SequenceClassification": "text-classification",
    "TokenClassification": "token-classification",
}


def kind(path: Path) -> Kind | None:
    """A folder by `save_pretrained` of a model and its tokenizer, or by `to_disk` of spaCy."""
    if (path / "config.cfg").is_file() and (path / "meta.json").is_file():
        import spacy

        return Kind("spacy", (spacy.load(path),), packages={"spacy"})
    if not (path / "config.json").is_file():
        return None
    about = json.loads((path / "config.json").read_text(encoding="utf-8"))
    names = [str(name).partition("For")[2] for name in about.get("architectures") or ()]
    task = next((TASKS[name] for name in names if name in TASKS), None)
    if task is None:
        return None
    # MLflow would ask the hub for a card of a model of this name. This is a separate process.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    pipeline = transformers.pipeline(task, model=str(path), tokenizer=str(path))
    return Kind("transformers", (pipeline,), packages={"transformers", "torch"})
