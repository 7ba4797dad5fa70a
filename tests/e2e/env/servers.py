"""Servers: git over http (nginx and git-http-backend), ssh (sshd), git:// (git daemon), and one that never answers.

They listen on 127.0.0.1, or at the address that is named (of a host of env/network.py).
"""
import contextlib
import getpass
import os
import pathlib
import signal
import socket
import subprocess
import threading

from .processes import descendants
from .waiting import LIMIT, wait_until


PORT_ATTEMPTS = 5
LOCALHOST = "127.0.0.1"


def free_port(address=LOCALHOST):
    """A port that was free a moment ago: another test may take it first, so that starting a server is tried again."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def is_listening(port, address=LOCALHOST):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def run(*command, **options):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                   **options)


NGINX = """{user}
worker_processes 1; daemon on; pid {d}/nginx.pid; error_log {d}/error.log info;
events {{ worker_connections 256; }}
http {{
  client_body_temp_path {d}/t1; fastcgi_temp_path {d}/t2; proxy_temp_path {d}/t3; scgi_temp_path {d}/t4;
  uwsgi_temp_path {d}/t5; client_max_body_size 0;
  log_format short '$request_method $uri $status'; access_log {d}/access.log short;
  server {{
    listen {address}:{port}; listen {address}:{tls_port} ssl http2;
    ssl_certificate {d}/server.pem; ssl_certificate_key {d}/server.key;
    location ~ ^/git(/.*)$ {{ fastcgi_param PATH_INFO $1; include {d}/git.inc; }}
    location ~ ^/auth(/.*)$ {{ auth_basic ci; auth_basic_user_file {d}/users; fastcgi_param PATH_INFO $1;
                              fastcgi_param REMOTE_USER $remote_user; include {d}/git.inc; }}
    location ~ ^/v0(/.*)$ {{ fastcgi_param PATH_INFO $1; include {d}/git-v0.inc; }}
    location ~ ^/moved301(/.*)$ {{ return 301 /git$1$is_args$args; }}
    location ~ ^/moved308(/.*)$ {{ return 308 /git$1$is_args$args; }}
    location ~ ^/elsewhere301(/.*)$ {{ return 301 http://localhost:{port}/git$1$is_args$args; }}
    location ~ ^/elsewhere308(/.*)$ {{ return 308 http://localhost:{port}/git$1$is_args$args; }}
    location ~ ^/lent(/.*)$ {{ return 307 /git$1$is_args$args; }}
    location /e503/ {{ return 503; }}
    location /close/ {{ return 444; }}
  }}
}}
"""

GIT_INC = """fastcgi_pass unix:{d}/fcgi.sock;
include /etc/nginx/fastcgi_params;
fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
fastcgi_param GIT_PROJECT_ROOT {root};
fastcgi_param GIT_HTTP_EXPORT_ALL "";
fastcgi_param HOME {d};
fastcgi_buffering off;
"""


class GitHttp:
    """nginx with git-http-backend over the bare repositories of a directory, plain and with TLS.

    Areas: git; auth (asks for a password); v0 (an old server: no protocol v2, and no commit but the tips of branches);
    moved301 and moved308 (to git); elsewhere301 and elsewhere308 (to git at another host, localhost); lent (to git, for
    now); e503 and close (trouble).
    """

    def __init__(self, directory, root, address=LOCALHOST):
        self.address = address
        self.directory = directory / "http"
        self.directory.mkdir()
        d = self.directory
        self._make_certificates()
        (d / "users").write_text("bot:{PLAIN}s3cret\n")
        (d / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
        backend = GIT_INC.format(d=d, root=root)
        # The header of the request reaches the backend under this name, and it would heed it.
        (d / "git-v0.inc").write_text(backend + 'fastcgi_param HTTP_GIT_PROTOCOL "";\n')
        (d / "git.inc").write_text(backend + "fastcgi_param GIT_PROTOCOL $http_git_protocol;\n")
        self.fcgi = subprocess.Popen(["fcgiwrap", "-f", "-c", "2", "-s", f"unix:{d}/fcgi.sock"],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     start_new_session=True)
        wait_until((d / "fcgi.sock").exists, what="fcgiwrap")
        self._start_nginx()
        wait_until(lambda: is_listening(self.port, self.address), what="nginx")

    def _start_nginx(self):
        d = self.directory
        user = "user root;" if os.geteuid() == 0 else ""
        for attempt in range(PORT_ATTEMPTS):
            self.port, self.tls_port = free_port(self.address), free_port(self.address)
            (d / "nginx.conf").write_text(NGINX.format(d=d, address=self.address, port=self.port,
                                                       tls_port=self.tls_port, user=user))
            try:
                run("/usr/sbin/nginx", "-p", d, "-c", d / "nginx.conf")
                return
            except subprocess.CalledProcessError as failure:
                if attempt == PORT_ATTEMPTS - 1 or b"in use" not in failure.output:
                    raise AssertionError(f"nginx: {failure.output.decode(errors='replace')}") from None

    def log_in(self, home):
        """Gives git's credential helper the password for the area "auth", over http."""
        store = home / "logins"
        store.write_text(f"http://bot:s3cret@{self.address}%3a{self.port}\n")
        store.chmod(0o600)
        (home / ".gitconfig").write_text(f"[credential]\n\thelper = store --file={store}\n")

    def requests(self):
        """[(method, path, status)] of all requests so far."""
        log = self.directory / "access.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(line.split(" ", 1)[0], *line.split(" ", 1)[1].rsplit(" ", 1)) for line in lines]

    def _make_certificates(self):
        d = self.directory
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        run("openssl", "req", "-x509", *curve, "-keyout", d / "ca.key", "-out", d / "ca.pem", "-days", "30", "-subj",
            "/CN=testca", "-addext", "basicConstraints=critical,CA:TRUE")
        run("openssl", "req", *curve, "-keyout", d / "server.key", "-out", d / "server.csr", "-subj", "/CN=localhost")
        (d / "extensions").write_text(f"subjectAltName=DNS:localhost,IP:{self.address}\nbasicConstraints=CA:FALSE\n")
        run("openssl", "x509", "-req", "-in", d / "server.csr", "-CA", d / "ca.pem", "-CAkey", d / "ca.key",
            "-CAcreateserial", "-days", "30", "-extfile", d / "extensions", "-out", d / "server.pem")

    @property
    def ca(self):
        return str(self.directory / "ca.pem")

    def url(self, name, tls=False, area="git"):
        scheme, port = ("https", self.tls_port) if tls else ("http", self.port)
        return f"{scheme}://{self.address}:{port}/{area}/{name}.git"

    def stop(self):
        pid_file = self.directory / "nginx.pid"
        if pid_file.exists():
            os.kill(int(pid_file.read_text()), signal.SIGQUIT)
        os.killpg(self.fcgi.pid, signal.SIGKILL)
        self.fcgi.wait()
        wait_until(lambda: not pid_file.exists(), what="the end of nginx")


class GitSsh:
    """sshd on a port of its own, for the user who runs the tests. `settings`: lines for its sshd_config that go first."""

    def __init__(self, directory, home, settings="", address=LOCALHOST):
        self.settings, self.address = settings, address
        self.directory = directory / "ssh"
        self.directory.mkdir()
        self.known_hosts = home / ".ssh" / "known_hosts"
        self.known_hosts.parent.mkdir(mode=0o700, exist_ok=True)
        self.user = getpass.getuser()
        for name in ("host_a", "host_b", "id"):
            self.make_key(name)
        self.authorize("id")
        self.daemon = None
        for attempt in range(PORT_ATTEMPTS):
            self.port = free_port(self.address)
            if self.start("host_a", may_fail=attempt < PORT_ATTEMPTS - 1):
                break

    def make_key(self, name, passphrase=""):
        """A key that the server does not know, and its file."""
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", self.directory / name)
        return str(self.directory / name)

    def authorize(self, name):
        with open(self.directory / "authorized_keys", "a") as file:
            file.write((self.directory / f"{name}.pub").read_text())

    @property
    def key(self):
        return str(self.directory / "id")

    def start(self, host_key, may_fail=False):
        d = self.directory
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        # HOME: bash reads ~/.bashrc behind sshd, and what somebody has in there may take as long as it likes.
        (d / "sshd_config").write_text(
            f"{self.settings}Port {self.port}\nListenAddress {self.address}\nHostKey {d / host_key}\nPidFile {d}/sshd.pid\n"
            f"AuthorizedKeysFile {d}/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            f"KbdInteractiveAuthentication no\nAcceptEnv GIT_PROTOCOL\nSetEnv HOME={d}\n")
        self.daemon = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", str(d / "sshd_config"), "-E", str(d / "sshd.log")],
                                       stdin=subprocess.DEVNULL)
        # The pid file is written after the port is taken: something that listens there may be somebody else.
        pid_file = d / "sshd.pid"
        wait_until(lambda: pid_file.exists() or self.daemon.poll() is not None, what="sshd")
        if self.daemon.poll() is None:
            return True
        self.daemon = None
        assert may_fail, f"sshd: {(d / 'sshd.log').read_text()}"
        return False

    def swap_host_key(self, host_key="host_b"):
        """Another machine in the place of this one, so that connections end, too."""
        self.stop_all()
        self.start(host_key)

    def stop_all(self):
        """With its connections, which else last as long as their clients, or as they seem to."""
        connections = descendants(self.daemon.pid, but="")
        self.stop()
        for pid in connections:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def trust(self, host_key="host_a"):
        words = (self.directory / f"{host_key}.pub").read_text().split()
        self.known_hosts.write_text(f"[{self.address}]:{self.port} {words[0]} {words[1]}\n")

    def fingerprint(self, host_key):
        out = subprocess.run(["ssh-keygen", "-lf", str(self.directory / f"{host_key}.pub")], check=True,
                             stdout=subprocess.PIPE).stdout.decode()
        return out.split()[1]

    def url(self, path):
        return f"ssh://{self.user}@{self.address}:{self.port}{path}"

    def stop(self):
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait(LIMIT)
            self.daemon = None
            (self.directory / "sshd.pid").unlink(missing_ok=True)


def git_daemon_is_there():
    """It is a package of its own on some systems."""
    path = subprocess.run(["git", "--exec-path"], check=True, stdout=subprocess.PIPE).stdout.decode().strip()
    return os.path.exists(os.path.join(path, "git-daemon"))


class GitDaemon:
    """git daemon over the bare repositories of a directory."""

    def __init__(self, directory, root, address=LOCALHOST):
        self.log = directory / "git-daemon.log"
        for attempt in range(PORT_ATTEMPTS):
            self.port = free_port(address)
            self.base = f"git://{address}:{self.port}"
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(
                    ["git", "daemon", f"--listen={address}", f"--port={self.port}", f"--base-path={root}",
                     "--export-all", "--reuseaddr", "--verbose", "--informative-errors"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            # It says so once it listens: something that listens there may be somebody else.
            wait_until(lambda: b"Ready to rumble" in self.log.read_bytes() or self.process.poll() is not None, 30,
                       "git daemon")
            if self.process.poll() is None:
                return
            assert attempt < PORT_ATTEMPTS - 1, f"git daemon: {self.log.read_text()}"

    def url(self, name):
        return f"{self.base}/{name}.git"

    def stop(self):
        # `git daemon` is a child of `git`; its own children, one a client, ignore SIGTERM.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


class HungServer:
    """Accepts connections and never answers."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(64)
        self.port = self.socket.getsockname()[1]
        self.connections = []
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                self.connections.append(self.socket.accept()[0])
            except OSError:
                return

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.connections:
            connection.close()
