"""A phantom_ci of root or of a user without an account, in a directory that a sandbox does not replace."""
import hashlib
import os
import pathlib
import shutil
import tempfile

from .gitrepo import GitRepo
from .phantom import Phantom
from .processes import kill_all


class Site:
    """`uid` 0: this user's own; else, as root, that of a user with this number."""

    def __init__(self, name, uid):
        # /tmp is another one inside a sandbox, and a private home may not be entered by others.
        parent = "/var/lib" if os.geteuid() == 0 else None
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"phantom_ci-{name}-", dir=parent))
        self.directory.chmod(0o755)
        self.uid = uid if os.geteuid() == 0 else 0
        self.phantom = Phantom(self.directory)
        self.repo = GitRepo(self.directory)
        # The test, as root, goes on pushing to what belongs to the user by then.
        (self.directory / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
        if self.uid:
            plain = self.phantom.command
            self.phantom.command = lambda *args: ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
                                                  *plain(*args)]

    def own(self):
        """What the test has made belongs to the user; state and cache are the user's from the start."""
        for top in (self.phantom.home, self.phantom.config, self.repo.bare.parent, self.repo.clone.parent):
            for path in [self.directory, top, *top.rglob("*")]:
                if self.uid and not path.is_symlink():
                    os.chown(path, self.uid, self.uid)

    def groups(self):
        """Directories of control groups of any job of this phantom_ci."""
        digits = hashlib.sha256(str(self.phantom.state).encode()).hexdigest()[:16]
        # Not by rglob(), which fails where a group of another test goes while it looks.
        return [pathlib.Path(top) / name for top, names, _ in os.walk("/sys/fs/cgroup") for name in names
                if name.startswith(f"phantom_ci-{digits}-")]

    def close(self, failed):
        self.phantom.stop_all()
        if failed:
            print(self.phantom.daemon_text())
            kill_all(self.directory)
        else:
            self.phantom.check_sanitizers()
        shutil.rmtree(self.directory, ignore_errors=True)
