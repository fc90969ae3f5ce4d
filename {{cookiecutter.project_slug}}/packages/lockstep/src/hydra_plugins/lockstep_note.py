"""A note where DVC composes conf/ for an experiment, which is the only place that is always seen.

`dvc exp run -S` composes conf/ with its own overrides alone, whatever an applied experiment left in
the workspace; with `--queue`, what the stages print about it is read by nobody. Hydra loads this
module in DVC's process as it loads any plugin: https://hydra.cc/docs/advanced/plugins/develop/
"""

import sys
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class Note(SearchPathPlugin):
    """Prints what the workspace holds and the experiment will not; changes no search path."""

    _printed = False  # DVC composes once for each combination of values

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra before it composes."""
        del search_path
        words = sys.argv[1:]
        if Note._printed or not ({"exp", "experiments"} & {*words[:1]} and "run" in words):
            return
        from lockstep.config.params import NOT_TRACKED, left_behind, untracked_options

        if names := untracked_options(Path.cwd(), words):  # before anything is queued
            sys.exit(f"error: {NOT_TRACKED.format(names)}")
        if note := left_behind(Path.cwd(), words):
            print(note, flush=True)
        Note._printed = True
