"""Clusters for the tests, of one machine: Ray with several nodes, and Slurm."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from servers import LOOPBACK, Server, Servers, tool

from project import Project

SLURM = """\
ClusterName=test
SlurmctldHost={host}({address})
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={node}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ReturnToService=2
NodeName={host} NodeAddr={address} CPUs=2 RealMemory=2000
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def ray_nodes(servers: Servers, project: Project, count: int, cores: int = 1) -> list[Server]:
    """The nodes of a Ray cluster; the first one is the head."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # the paths of its sockets have to be short
    servers.at_the_end(lambda: shutil.rmtree(folder, ignore_errors=True))
    ray = [str(project.bin / "ray"), "start", "--block", f"--num-cpus={cores}"]
    ray += [f"--node-ip-address={LOOPBACK}", "--disable-usage-stats"]
    env = {**project.environment, "RAY_AUTH_MODE": "disabled"}
    head = Server(
        servers.folder / "head",
        lambda port: (
            [*ray, "--head", f"--port={port}", "--include-dashboard=false"]
            + [f"--temp-dir={folder}"]
        ),
        env,
    )
    nodes = [head]
    for number in range(1, count):
        node = Server(
            servers.folder / f"node-{number}",
            lambda port: [*ray, f"--address={LOOPBACK}:{head.port}", f"--node-manager-port={port}"],
            env,
        )
        nodes.append(node)
    for server in nodes:
        servers.add(server)
        servers.at_the_end(partial(server.stop, signal.SIGKILL))  # it takes its time otherwise
    return nodes


def slurm(servers: Servers) -> dict[str, str]:
    """Slurm with one node of two cores, as whoever runs the tests; the variable that finds it."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    servers.at_the_end(lambda: shutil.rmtree(folder, ignore_errors=True))
    folder.chmod(0o755)  # munge insists
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    munged = [tool("munged"), "--foreground", "--force", f"--key-file={key}"]
    munged += [f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid"]
    munged += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"]
    process = subprocess.Popen(munged, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    servers.at_the_end(process.wait)
    servers.at_the_end(process.terminate)
    conf = folder / "slurm.conf"
    env = {"SLURM_CONF": str(conf)}
    controller = Server(folder, lambda port: [tool("slurmctld"), "-D", "-f", str(conf)], env)
    node = Server(folder, lambda port: [tool("slurmd"), "-D", "-f", str(conf)], env)
    conf.write_text(
        SLURM.format(
            host=socket.gethostname().partition(".")[0],
            address=LOOPBACK,
            user=getpass.getuser(),
            folder=folder,
            controller=controller.port,
            node=node.port,
        )
    )
    servers.add(controller)
    servers.add(node)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        asked = [tool("sinfo"), "--noheader", "--format=%t"]
        done = subprocess.run(
            asked, env={**os.environ, **env}, capture_output=True, text=True, check=False
        )
        if done.stdout.strip() == "idle":
            return env
        time.sleep(0.2)
    raise AssertionError(f"Slurm is not ready\n{controller.log}")
