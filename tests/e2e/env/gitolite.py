"""gitolite3 behind sshd, for the user who runs the tests: its home is the test's own directory, to which sshd sets
HOME, so that no account has to be made.
"""
import os
import shutil
import subprocess

from .gitrepo import GitRepo
from .servers import LOCALHOST, GitSsh


def why_not():
    """What is missing for it, or None."""
    return None if shutil.which("gitolite") else "gitolite (Debian: gitolite3) is not installed"


class Gitolite(GitSsh):
    """Its administrator has the key "admin"; "id" is the key of a user "bot" who may read what he is allowed to."""

    def __init__(self, directory, home):
        self.root = directory / "gitolite"
        self.root.mkdir()
        super().__init__(directory, home, f"SetEnv HOME={self.root}\n"
                         f"AuthorizedKeysFile {self.root}/.ssh/authorized_keys\n", LOCALHOST)
        self.trust()
        self.make_key("admin")
        result = subprocess.run(["gitolite", "setup", "-pk", str(self.directory / "admin.pub")], stdin=subprocess.DEVNULL,
                                env={"PATH": os.environ["PATH"], "HOME": str(self.root), "USER": self.user},
                                cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        assert result.returncode == 0, f"gitolite setup: {result.stdout.decode(errors='replace')}"
        self.pusher = {"GIT_SSH_COMMAND": f"ssh -F none -i {self.directory / 'admin'} -o IdentitiesOnly=yes "
                       f"-o UserKnownHostsFile={self.known_hosts} -o BatchMode=yes"}
        self.admin = GitRepo(directory, "gitolite-admin", self.url("/gitolite-admin"), self.pusher)
        self.admin.git("pull", "-q", "origin", "HEAD")

    def add_repository(self, name, *readers):
        """As its administrators do: by a push to gitolite-admin. A GitRepo that pushes there over ssh."""
        rules = (self.admin.clone / "conf" / "gitolite.conf").read_text()
        rules += f"\nrepo {name}\n    RW+ = admin\n" + "".join(f"    R = {reader}\n" for reader in readers)
        self.admin.write({"conf/gitolite.conf": rules, "keydir/bot.pub": (self.directory / "id.pub").read_text()})
        self.admin.commit(subject=f"{name}")
        self.admin.git("push", "-q", "origin", "HEAD:master")
        return GitRepo(self.admin.clone.parent.parent, name, self.url(f"/{name}"), self.pusher)
