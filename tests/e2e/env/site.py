"""A phantom_ci of root, or of a user without an account, with a repository of its own and secrets in its home."""
import contextlib
import hashlib
import os
import pathlib
import shutil
import tempfile

from .gitrepo import GitRepo
from .phantom import Phantom, programs
from .processes import kill_all, processes_of
from .waiting import wait_until


def old_kernel_runner():
    """Runs a program as on a kernel without user namespaces, Landlock and openat2 (tests/tools)."""
    return str(programs() / "tests" / "without_namespaces")


def shell(text):
    """A step that is run by a shell."""
    return ["sh", "-c", text]


class Site:
    def __init__(self, directory, uid=0, old_kernel=False):
        self.directory = directory
        self.uid = uid
        self.old_kernel = old_kernel
        self.phantom = Phantom(directory)
        self.repo = self.make_repo("app")
        for name in (".ssh", ".gnupg"):
            (self.phantom.home / name).mkdir()
            (self.phantom.home / name / "key").write_text("secret\n")
        (self.phantom.home / ".netrc").write_text("secret\n")
        (self.phantom.home / "notes").write_text("notes\n")
        self.phantom.wrapper = [old_kernel_runner()] if old_kernel else []
        if uid:
            self.phantom.wrapper += ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]

    def make_repo(self, name):
        repo = GitRepo(self.directory, name)
        # The test, as root, goes on pushing to what belongs to the user by then. HOME of git here, not of phantom_ci.
        (self.directory / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
        return repo

    def make_open_directory(self, name):
        """A directory that everybody may write."""
        directory = self.directory / name
        directory.mkdir()
        directory.chmod(0o777)
        return directory

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

    def home_file(self, name):
        """A file with a secret, for the user alone."""
        path = self.phantom.home / name
        path.write_text(f"A=secret-of-{name}\n")
        path.chmod(0o600)
        return path

    def watch(self, level, *steps, **keys):
        self.repo.workflow(*steps)
        self.phantom.watch(self.repo, sandbox=level, **keys)
        self.own()

    def run(self, level, *steps, check=0, **keys):
        """Runs the steps once; what they wrote."""
        self.watch(level, *steps, **keys)
        return self.phantom.cli("run", "app", check=check)

    def attack(self, level, *steps, **keys):
        """Runs the steps once, as the first job of the section; what they wrote. None where the kernel can't give the level:
        then no step has run, and the reason is told."""
        self.run(level, *steps, check=None, **keys)
        return self._outcome(level, self.phantom.jobs()[-1])

    def attack_again(self, level, *steps):
        """The same with other steps of the same section, in its next job."""
        self.repo.workflow(*steps)
        self.own()
        self.phantom.cli("run", "app")
        return self._outcome(level, self.phantom.jobs()[-1])

    def attack_by_push(self, level, *steps, **keys):
        """The same as a push that a daemon sees."""
        self.watch(level, *steps, **keys)
        self.phantom.start()
        self.phantom.wait_baseline()
        sha = self.repo.commit_and_push()
        self.own()
        return self._outcome(level, self.phantom.wait_job(sha=sha))

    def _outcome(self, level, job):
        if self.old_kernel and level != "off":
            assert job["state"] in ("error", "failed"), job
            assert "the sandbox could not be made" in job["reason"], job
            assert self.phantom.log(job["id"]) == b"", "a step has run without its sandbox"
            return None
        assert job["state"] == "success", (job, self.phantom.errors[-1:])
        return self.phantom.log(job["id"]).decode(errors="replace")


@contextlib.contextmanager
def site_of(who, node, kind=Site, **options):
    """`who`: "root", or "user", whose number is nobody else's. At the end nothing of it may be alive."""
    # /tmp is another one inside, and a private home may not be entered by others: neither is used here.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="phantom_ci-sandbox-", dir="/var/lib"
                                              if os.geteuid() == 0 else None))
    directory.chmod(0o755)
    uid = 61000 + os.getpid() % 1000 if who == "user" and os.geteuid() == 0 else 0
    made = kind(directory, uid, **options)
    try:
        yield made
    finally:
        made.phantom.stop_all()
        if getattr(node, "failed", False):
            print(made.phantom.daemon_text())
            kill_all(directory)
        else:
            wait_until(lambda: not processes_of(directory), what="the end of all processes of the test")
            made.phantom.check_sanitizers()
        shutil.rmtree(directory, ignore_errors=True)
