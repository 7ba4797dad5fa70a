"""git over http for looks: nginx and git-http-backend in every form that a look may meet."""
import contextlib
import os
import signal
import socket
import subprocess

from .receiver import make_certificates
from .servers import GIT_INC, PORT_ATTEMPTS, is_listening, run
from .waiting import wait_until

TIP = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

NGINX = """{user}
worker_processes 1; daemon on; pid {d}/nginx.pid; error_log {d}/error.log info;
events {{ worker_connections 512; }}
http {{
  client_body_temp_path {d}/t1; fastcgi_temp_path {d}/t2; proxy_temp_path {d}/t3; scgi_temp_path {d}/t4;
  uwsgi_temp_path {d}/t5;
  log_format all '$connection $server_protocol $request_method $uri $status "$http_authorization" "$http_user_agent"';
  access_log {d}/access.log all; keepalive_requests {most}; keepalive_timeout 300s;
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{tls1_port} ssl; listen 127.0.0.1:{tls2_port} ssl http2;
    ssl_certificate {d}/server.pem; ssl_certificate_key {d}/server.key;
    location ~ ^/git(/.*)$ {{ fastcgi_param PATH_INFO $1; include {d}/git.inc; }}
    location ~ ^/auth(/.*)$ {{ auth_basic ci; auth_basic_user_file {d}/users; fastcgi_param PATH_INFO $1;
                              fastcgi_param REMOTE_USER $remote_user; include {d}/git.inc; }}
    location ~ ^/v0(/.*)$ {{ fastcgi_param PATH_INFO $1; include {d}/git-v0.inc; }}
    location ~ ^/moved/(.*)$ {{ return 301 /git/$1$is_args$args; }}
    location ~ ^/kept/(.*)$ {{ return 308 /git/$1$is_args$args; }}
    location ~ ^/away/(.*)$ {{ return 302 /git/$1$is_args$args; }}
    location ~ ^/twice/(.*)$ {{ return 307 /moved/$1$is_args$args; }}
    location ~ ^/dumb(/.*)$ {{ alias {root}$1; }}
    location ~ ^/fixed/.*/git-upload-pack$ {{
      default_type application/x-git-upload-pack-result; return 200 "003d{tip} refs/heads/main\\n0000"; }}
  }}
}}
"""


def free_ports(count):
    """Different ones: all are held until the last is found."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class LookServer:
    """Serves the bare repositories below `root`. Areas: git; auth (user bot, password s3cret); v0 (an old server); moved
    (301), kept (308), away (302) and twice (307, then 301) lead to git; dumb (plain files); fixed (nothing but one ref,
    answered at once). Plain, with TLS and HTTP/1.1, and with TLS and HTTP/2."""

    def __init__(self, directory, root, requests_a_connection=10_000):
        self.directory = directory / "lookserver"
        self.directory.mkdir()
        d = self.directory
        make_certificates(d)
        (d / "users").write_text("bot:{PLAIN}s3cret\n")
        (d / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
        backend = GIT_INC.format(d=d, root=root)
        (d / "git.inc").write_text(backend + "fastcgi_param GIT_PROTOCOL $http_git_protocol;\n")
        (d / "git-v0.inc").write_text(backend + 'fastcgi_param HTTP_GIT_PROTOCOL "";\n')
        self.fcgi = subprocess.Popen(["fcgiwrap", "-f", "-c", "2", "-s", f"unix:{d}/fcgi.sock"],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     start_new_session=True)
        wait_until((d / "fcgi.sock").exists, 30, "fcgiwrap")
        self._start(root, requests_a_connection)
        wait_until(lambda: is_listening(self.ports["http"]), 30, "nginx")

    def _start(self, root, most):
        d = self.directory
        for attempt in range(PORT_ATTEMPTS):
            self.ports = dict(zip(("http", "https", "h2"), free_ports(3)))
            (d / "nginx.conf").write_text(NGINX.format(
                d=d, root=root, most=most, tip=TIP, user="user root;" if os.geteuid() == 0 else "",
                port=self.ports["http"], tls1_port=self.ports["https"], tls2_port=self.ports["h2"]))
            try:
                run("/usr/sbin/nginx", "-p", d, "-c", d / "nginx.conf")
                return
            except subprocess.CalledProcessError as failure:
                if attempt == PORT_ATTEMPTS - 1 or b"in use" not in failure.output:
                    raise AssertionError(f"nginx: {failure.output.decode(errors='replace')}") from None

    @property
    def ca(self):
        return str(self.directory / "ca.pem")

    def url(self, name="app.git", area="git", kind="http", user=""):
        return f"{'http' if kind == 'http' else 'https'}://{user}127.0.0.1:{self.ports[kind]}/{area}/{name}"

    def prefix(self, kind="http", path=""):
        return f"{'http' if kind == 'http' else 'https'}://127.0.0.1:{self.ports[kind]}/{path}"

    def _lines(self):
        log = self.directory / "access.log"
        return [line.split('"') for line in log.read_text().splitlines()] if log.exists() else []

    def requests(self, count):
        """["POST /git/app.git/git-upload-pack 200"] of all requests, once there are `count` of them."""
        lines = wait_until(lambda: len(self._lines()) >= count and self._lines(), 30, f"request {count} in the log")
        return [" ".join(line[0].split()[2:5]) for line in lines]

    def asked(self, count):
        """The same in short: "POST", "GET", with the status when it is not 200."""
        short = (request.split() for request in self.requests(count))
        return [method if status == "200" else f"{method} {status}" for method, _, status in short]

    def connections(self, count):
        """The numbers of the connections of all requests."""
        self.requests(count)
        return [line[0].split()[0] for line in self._lines()]

    def protocols(self):
        return {line[0].split()[1] for line in self._lines()}

    def authorizations(self):
        return [line[1] for line in self._lines()]

    def user_agents(self):
        return {line[3] for line in self._lines()}

    def stop(self):
        pid_file = self.directory / "nginx.pid"
        if pid_file.exists():
            os.kill(int(pid_file.read_text()), signal.SIGQUIT)
        os.killpg(self.fcgi.pid, signal.SIGKILL)
        self.fcgi.wait()
        wait_until(lambda: not pid_file.exists(), 30, "the end of nginx")
