"""What a sweep tries: values in Hydra's override grammar, which Optuna draws."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import LockstepError
from lockstep.config.grammar import hydra_text, parsed, swept_values
from lockstep.values import nearest

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

# What a sweep tries by override; below `group=option`, only where that option is chosen.
Lines = Mapping[str, Any]


@dataclass(frozen=True)
class Dimension:
    """A key of the config, and the values to try.

    Attributes:
        name: The name in Optuna and MLflow.
        key: The part of the override to the left of `=`.
        group: Whether options of a config group are tried, not values.
        choices: The values, as Hydra writes them; empty for the numbers from low to high.
        step: The distance between two numbers; None allows any number in between.
        log: Whether numbers are drawn on a logarithmic scale.
    """

    name: str
    key: str
    group: bool = False
    choices: tuple[str | int | float | bool, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False

    def draw(self, trial: "BaseTrial") -> str:
        """Draw a value for a trial, as Hydra writes it."""
        if self.choices:
            return hydra_text(trial.suggest_categorical(self.name, self.choices))
        if isinstance(self.low, int):
            step = int(self.step or 1)
            high = int(self.high)
            return str(trial.suggest_int(self.name, self.low, high, step=step, log=self.log))
        drawn = trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)
        return repr(drawn)

    def ends(self) -> list[str]:
        """The lowest and the highest value; of choices, all."""
        if self.choices:
            return [hydra_text(choice) for choice in self.choices]
        return [repr(self.low), repr(self.high)]


class Space:
    """All that a sweep tries."""

    def __init__(self, lines: Lines, options: Mapping[str, str], conf: Path) -> None:
        """Read what to try.

        Args:
            options: The option of each config group in trials that draw no other one.
            conf: The folder of configs; a folder in it is a group.

        Raises:
            LockstepError: A line is not in Hydra's grammar, or tries nothing.
        """
        self._options = dict(options)
        self._conf = conf
        keys = Counter(key for group in _sections(lines).values() for key in group)
        self.always: list[Dimension] = []
        self.where: dict[tuple[str, str], list[Dimension]] = {}
        for condition, section in _sections(lines).items():
            group, _, option = condition.partition("=")
            if condition and option not in self._known(group):
                hint = nearest(option, self._known(group))
                raise LockstepError(f"conf/ has no {condition}, which the sweep names{hint}")
            dimensions = [
                self._dimension(key, line, key if keys[key] == 1 else f"{key} ({option})")
                for key, line in section.items()
            ]
            if condition:
                self.where[group, option] = dimensions
            else:
                self.always = dimensions

    def draw(self, trial: "BaseTrial") -> list[str]:
        """Draw the overrides of a trial, in Hydra's grammar."""
        drawn = []
        options = dict(self._options)
        for dimension in self.always:
            value = dimension.draw(trial)
            drawn.append(f"{dimension.key}={value}")
            if dimension.group:
                options[dimension.key] = value
        return drawn + [
            f"{dimension.key}={dimension.draw(trial)}" for dimension in self._conditional(options)
        ]

    def branches(self) -> Iterator[tuple[list[str], list[Dimension]]]:
        """The combinations of options to check, with the dimensions that each of them has.

        Returns:
            The overrides that choose each, and what it tries besides options.
        """
        values = [dimension for dimension in self.always if not dimension.group]
        groups = [dimension for dimension in self.always if dimension.group]
        first = {dimension.key: dimension.ends()[0] for dimension in groups}
        chosen = [first]
        for dimension in groups:
            chosen += [{**first, dimension.key: option} for option in dimension.ends()[1:]]
        for options in chosen:
            overrides = [f"{group}={option}" for group, option in options.items()]
            yield overrides, values + self._conditional({**self._options, **options})

    def probes(self) -> Iterator[list[str]]:
        """Overrides that cover each option and each end of each range, to be checked."""
        for options, dimensions in self.branches():
            columns = [
                [f"{dimension.key}={value}" for value in dimension.ends()]
                for dimension in dimensions
            ]
            for row in zip_longest(*columns) if columns else [()]:
                last = [value or column[-1] for value, column in zip(row, columns, strict=True)]
                yield [*options, *last]

    def _conditional(self, options: Mapping[str, str]) -> list[Dimension]:
        return [
            dimension
            for (group, option), dimensions in self.where.items()
            if options.get(group) == option
            for dimension in dimensions
        ]

    def _dimension(self, key: str, line: Any, name: str) -> Dimension:
        override = parsed(f"{key}={line}")
        group = (self._conf / key).is_dir()
        if not override.is_sweep_override():
            raise LockstepError(
                f"the sweep's space has {key}={line}, which is one value: write choice(...), "
                "range(...) or interval(...), or set it in conf/ or on the command line"
            )
        try:
            dimension = Dimension(name, key, group, **swept_values(override, self._known(key)))
        except ValueError as error:
            raise LockstepError(f"the sweep cannot try {key}={line}: {error}") from error
        for option in dimension.ends() if group else []:
            if option not in self._known(key):
                hint = (
                    nearest(option, self._known(key)) or f": it has {', '.join(self._known(key))}"
                )
                raise LockstepError(f"conf/{key}/ has no {option}, which the sweep names{hint}")
        return dimension

    def _known(self, group: str) -> list[str]:
        return sorted(path.stem for path in (self._conf / group).glob("*.yaml"))


def _sections(lines: Lines) -> dict[str, dict[str, Any]]:
    """What to try by condition; by the empty one, what is tried always."""
    sections: dict[str, dict[str, Any]] = {"": {}}
    for key, line in lines.items():
        if isinstance(line, Mapping):
            sections[key] = dict(line)
        else:
            sections[""][key] = line
    return sections
