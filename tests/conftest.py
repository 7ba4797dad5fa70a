import os
import pathlib
import shutil
import stat
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "e2e"))

from env.fakegit import FakeGit  # noqa: E402
from env.gitrepo import GitRepo  # noqa: E402
from env.phantom import BUILD, PROGRAMS_VARIABLE, Phantom  # noqa: E402
from env.processes import kill_all, processes_of  # noqa: E402
from env.waiting import wait_until  # noqa: E402


def pytest_configure(config):
    if not (BUILD / "src" / "phantom_ci").exists():
        pytest.exit(f"phantom_ci is not built in {BUILD}: ./dev build", returncode=2)
    is_open = all(path.stat().st_mode & stat.S_IXOTH for path in [BUILD, *BUILD.parents])
    if os.geteuid() == 0 and not is_open and PROGRAMS_VARIABLE not in os.environ:
        config.programs = copy_programs()
        os.environ[PROGRAMS_VARIABLE] = config.programs  # for the workers, too


def pytest_unconfigure(config):
    if hasattr(config, "programs"):
        shutil.rmtree(config.programs)


def copy_programs():
    """For tests that run them as a user without an account: a tree below /root is closed to him."""
    directory = tempfile.mkdtemp(prefix="phantom_ci-programs-")
    os.chmod(directory, 0o755)
    for path in [*(BUILD / "src").glob("phantom_ci*"), BUILD / "tests" / "without_namespaces"]:
        if path.is_file():
            target = pathlib.Path(directory) / path.relative_to(BUILD)
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(path, target)
    return directory


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    item.failed = getattr(item, "failed", False) or outcome.get_result().failed


@pytest.fixture
def place(tmp_path, request):
    """A directory for all of a test; at its end nothing that has to do with it may be alive."""
    yield tmp_path
    if getattr(request.node, "failed", False):
        kill_all(tmp_path)
        return
    try:
        wait_until(lambda: not processes_of(tmp_path), what="the end of all processes of the test")
    finally:
        left = processes_of(tmp_path)
        kill_all(tmp_path)
        assert not left, f"left running: {left}"


@pytest.fixture
def phantom(place, request):
    phantom = Phantom(place)
    yield phantom
    failed = getattr(request.node, "failed", False)
    try:
        phantom.stop_all()
    finally:
        if failed:
            print(phantom.daemon_text())
    if not failed:
        phantom.check_sanitizers()


@pytest.fixture
def repo(place):
    return GitRepo(place)


@pytest.fixture(params=["root", "user"])
def site(request):
    from env.site import site_of
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("not root")
    with site_of(request.param, request.node) as made:
        yield made


@pytest.fixture
def make_repo(place):
    return lambda name: GitRepo(place, name)


@pytest.fixture
def fake_git(place):
    return FakeGit(place)


@pytest.fixture
def http(place):
    from env.servers import GitHttp
    server = GitHttp(place, place / "remotes")
    yield server
    server.stop()


@pytest.fixture
def git_daemon(place):
    from env.servers import GitDaemon, git_daemon_is_there
    if not git_daemon_is_there():
        pytest.skip("git daemon is not installed")
    server = GitDaemon(place, place / "remotes")
    yield server
    server.stop()


@pytest.fixture
def trust_ssh(place, phantom):
    """Makes ssh of the daemon take its known hosts from the server's file: it asks the user database for the home
    directory, not HOME, so that the configuration is named to it by a wrapper."""
    def use(server):
        wrapper = place / "sshbin"
        wrapper.mkdir()
        (wrapper / "ssh").write_text(
            f'#!/bin/sh\nexec /usr/bin/ssh -F none -o UserKnownHostsFile={server.known_hosts} "$@"\n')
        (wrapper / "ssh").chmod(0o755)
        phantom.env["PATH"] = f"{wrapper}:{phantom.env['PATH']}"
    return use


@pytest.fixture
def ssh(place, phantom, trust_ssh):
    from env.servers import GitSsh
    server = GitSsh(place, phantom.home)
    trust_ssh(server)
    yield server
    server.stop()


@pytest.fixture
def gitolite(place, phantom, trust_ssh):
    from env.gitolite import Gitolite, why_not
    if why_not():
        pytest.skip(why_not())
    server = Gitolite(place, phantom.home)
    trust_ssh(server)
    yield server
    server.stop()


@pytest.fixture
def network():
    from env.network import Network, why_not
    if why_not():
        pytest.skip(why_not())
    network = Network()
    yield network
    network.close()


@pytest.fixture
def ref_server():
    from env.refserver import RefServer
    server = RefServer()
    yield server
    server.stop()


@pytest.fixture
def hung():
    from env.servers import HungServer
    server = HungServer()
    yield server
    server.stop()


@pytest.fixture
def make_receiver(place):
    from env.receiver import Receiver
    made = []

    def make(**options):
        made.append(Receiver(place, name=f"receiver{len(made) or ''}", **options))
        return made[-1]
    yield make
    for receiver in made:
        receiver.stop()


@pytest.fixture
def receiver(make_receiver):
    return make_receiver()


@pytest.fixture
def look_server(place, repo):
    from env.lookserver import LookServer
    server = LookServer(place, place / "remotes")
    yield server
    server.stop()


def net_starter(place, kind):
    started = []

    def make(*args, **options):
        started.append(kind(place, *args, **options))
        return started[-1]
    yield make
    for net in started:
        if net.process.poll() is None:
            assert net.stop() == 0, net.errors


@pytest.fixture
def start_net(place):
    """Starts phantom_ci-net; at the end each must come to a clean end."""
    from env.net import Net
    yield from net_starter(place, Net)


@pytest.fixture
def start_looks(place):
    """The same for phantom_ci-net --looks."""
    from env.looks import Looks
    yield from net_starter(place, Looks)


@pytest.fixture
def looks(start_looks):
    return start_looks()


@pytest.fixture
def net(start_net):
    return start_net()


@pytest.fixture
def make_sshd(place):
    """Starts an sshd for phantom_ci-ssh."""
    from env.sshlooks import Sshd
    (place / "home").mkdir(exist_ok=True)
    started = []

    def make(*args, **options):
        started.append(Sshd(place, *args, **options))
        return started[-1]
    yield make
    for server in started:
        server.stop()


@pytest.fixture
def sshd(make_sshd):
    return make_sshd()


@pytest.fixture
def start_ssh_looks(place):
    """Starts phantom_ci-ssh; at the end each must come to a clean end and leave nothing behind."""
    from env.sshlooks import SshLooks
    started = []
    runtime = pathlib.Path(tempfile.mkdtemp(prefix="phantom_ci-"))

    def make(*args, **options):
        started.append(SshLooks(place, runtime, *args, **options))
        return started[-1]
    yield make
    try:
        for looks in started:
            if looks.process.poll() is None:
                assert looks.stop() == 0, looks.errors
        left = list(runtime.rglob("*"))
    finally:
        shutil.rmtree(runtime)
    assert not left


@pytest.fixture
def ssh_looks(start_ssh_looks):
    return start_ssh_looks()
