"""Where the workers of a sweep run; `sweep/engine=` chooses one."""

from lockstep.sweep.engines.base import Engine as Engine
from lockstep.sweep.engines.base import Worker as Worker
from lockstep.sweep.engines.local import Local as Local
from lockstep.sweep.engines.ray import Ray as Ray
from lockstep.sweep.engines.slurm import Slurm as Slurm
