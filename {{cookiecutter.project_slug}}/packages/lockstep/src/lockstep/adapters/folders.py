"""The folders of Hugging Face and spaCy."""

import json
from pathlib import Path

from lockstep.adapters.kinds import Kind


def kind(path: Path) -> Kind | None:
    """A folder that `save_pretrained` of a pipeline, or `to_disk` of spaCy, has written."""
    if (path / "config.cfg").is_file() and (path / "meta.json").is_file():
        import spacy

        return Kind("spacy", (spacy.load(path),), packages={"spacy"})
    if not (path / "config.json").is_file():
        return None
    architecture = json.loads((path / "config.json").read_text(encoding="utf-8"))
    if "model_type" not in architecture:
        return None
    import transformers

    return Kind(
        "transformers",
        (transformers.pipeline(model=str(path), tokenizer=str(path)),),
        packages={"transformers", "torch"},
    )
