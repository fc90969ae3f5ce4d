"""The bundled tables, one for each task, and what a project has to know about its columns.

Each is a folder with a file for each month. A project starts with all of them as one file, or, if
`data_source` names the folder, with the months as partitions.
"""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "samples"


@dataclass(frozen=True)
class Sample:
    """A bundled table.

    Attributes:
        name: That of its folder in samples/.
        target: The column to predict.
        time: The column that orders the rows.
        leaks: Columns that give the target away; a new project leaves them out.
        reason: Why it does.
        credit: What the rows are, who published them and under which licence, in Markdown.
    """

    name: str
    target: str
    time: str
    leaks: tuple[str, ...]
    reason: str
    credit: str

    @property
    def path(self) -> Path:
        """Its folder."""
        return FOLDER / self.name


SAMPLES = (
    Sample(
        name="bikes",
        target="rentals",
        time="time",
        leaks=("casual", "registered"),
        reason="their sum is the target",
        credit="the bikes hired in Washington, D.C. in each hour of 2011:\n"
        "[Bike Sharing](https://doi.org/10.24432/C5W894) by Hadi Fanaee-T, UCI Machine Learning "
        "Repository,\n[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/); columns were "
        "renamed, and the weather has its units again",
    ),
    Sample(
        name="flights",
        target="late",
        time="time",
        leaks=("arrival_delay",),
        reason="known only after the landing",
        credit="6,000 flights from New York in 2013 that have just taken off: will they arrive\n"
        "late? They are a sample of [nycflights13](https://github.com/tidyverse/nycflights13), "
        "CC0, from data of the\nUS Bureau of Transportation Statistics",
    ),
)


def for_task(task: str) -> Sample:
    """The sample that a new project starts with; regression is the better first look."""
    return named("flights" if task == "classification" else "bikes")


def named(name: str) -> Sample:
    """The sample of a name."""
    return next(sample for sample in SAMPLES if sample.name == name)


def at(source: str) -> Sample | None:
    """The sample whose folder a path names; None for other data."""
    return next((sample for sample in SAMPLES if Path(source) == sample.path), None)
