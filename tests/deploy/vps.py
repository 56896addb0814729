"""A bare server to ship to: a network of its own, an empty engine, sshd. Made of namespaces.

It has the machine's programs, and folders of its own where a server keeps things: `/opt`, `/root`,
`/run`, `/etc/ssh`. Its ports are 22, 80 and 443 as on any server; on the machine nothing changes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.deploy.engine import Engine
from tests.deploy.programs import PATH, end_by_pid_file, run, wait_until

OWN = ("opt", "root", "run", "etc/ssh", "var/cache")
HERE, THERE = "10.231.87.1", "10.231.87.2"

_SSHD = """
Port 22
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
UsePAM no
StrictModes no
PasswordAuthentication no
SetEnv PATH={path} DOCKER_HOST=unix://{socket}
"""

_SSH = """
Host vps
  HostName {address}
  User root
  IdentityFile {folder}/user_key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking accept-new
"""


class Vps:
    """A running server. `ssh -F ssh_config vps` logs in.

    Args:
        folder: for all that is the server's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in OWN:
            (folder / "disk" / name).mkdir(parents=True, exist_ok=True)
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "sleep", "infinity"]
        )
        self.pid = self._holder.pid
        try:
            self._make()
        except BaseException:
            self.stop()
            raise

    def _make(self) -> None:
        own = Path(f"/proc/{self.pid}/ns/net")
        wait_until(lambda: own.readlink() != Path("/proc/self/ns/net").readlink(), 10, 0.05)
        for name in OWN:
            self.run("mount", "--bind", str(self.folder / "disk" / name), f"/{name}")
        self.run("ip", "link", "set", "lo", "up")
        outside = f"cbx{self.pid % 100000}"
        link = ("link", "add", outside, "type", "veth", "peer", "name", "eth0")
        run("ip", *link, "netns", str(self.pid))
        run("ip", "addr", "add", f"{HERE}/30", "dev", outside)
        run("ip", "link", "set", outside, "up")
        self.run("ip", "addr", "add", f"{THERE}/30", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.engine = Engine(self.folder / "engine", self.enter)
        self._start_sshd()

    def _start_sshd(self) -> None:
        for name in ("host_key", "user_key"):
            key = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name)
            run(*key)
        shutil.copy(self.folder / "user_key.pub", self.folder / "authorized_keys")
        values = {"folder": self.folder, "address": THERE, "socket": self.engine.socket}
        values["path"] = "/usr/sbin:/usr/bin:/sbin:/bin"
        (self.folder / "sshd_config").write_text(_SSHD.format(**values))
        self.ssh_config = self.folder / "ssh_config"
        self.ssh_config.write_text(_SSH.format(**values))
        (self.folder / "disk" / "run" / "sshd").mkdir(mode=0o755)
        self.run("/usr/sbin/sshd", "-f", str(self.folder / "sshd_config"))
        wait_until(self._ssh_answers, 20)

    def _ssh_answers(self) -> bool:
        command = ["ssh", "-F", str(self.ssh_config), "-o", "BatchMode=yes", "vps", "true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    @property
    def enter(self) -> tuple[str, ...]:
        """Command that runs the command after it on the server."""
        return ("nsenter", f"--target={self.pid}", "--net", "--mount", "--wd=/")

    @property
    def enter_network(self) -> tuple[str, ...]:
        """The same for its network only: with this machine's files."""
        return ("nsenter", f"--target={self.pid}", "--net")

    def run(self, *command: str, seconds: float = 120) -> str:
        """Run a command on the server and return what it printed."""
        env = {**os.environ, "PATH": PATH}
        if hasattr(self, "engine"):
            env = self.engine.environment
        return run(*self.enter, *command, seconds=seconds, env=env).strip()

    def docker(self, *arguments: str, seconds: float = 120) -> str:
        """Run a docker command on the server and return what it printed."""
        return self.engine.docker(*arguments, seconds=seconds)

    def stop(self) -> None:
        """End everything on the server, then the server."""
        try:
            end_by_pid_file(self.folder / "sshd.pid")
            if hasattr(self, "engine"):
                self.engine.stop()
        finally:
            # With their last process the namespaces go, and with them the network.
            self._holder.send_signal(signal.SIGKILL)
            self._holder.wait(10)
            shutil.rmtree(self.folder, ignore_errors=True)
