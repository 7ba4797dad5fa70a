"""git over http for looks: nginx and git-http-backend in every form that a look may meet."""
import contextlib
import os
import socket
import subprocess

from .servers import PORT_ATTEMPTS, GitHttp, run
from .waiting import wait_until

TIP = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def pkt(text):
    """A pkt-line."""
    data = text.encode() if isinstance(text, str) else text
    return b"%04x" % (len(data) + 4) + data


SERVICE = pkt("# service=git-upload-pack\n") + b"0000"
FIXED_REFS = pkt(f"{TIP} refs/heads/main\n") + b"0000"
FIXED_CAPABILITIES = SERVICE + b"".join(map(pkt, (
    "version 2\n", "agent=git/2\n", "ls-refs=unborn\n", "fetch=shallow\n", "object-format=sha1\n"))) + b"0000"


def quoted(data):
    """For nginx."""
    return '"' + data.decode().replace("\n", "\\n") + '"'


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
    location ~ ^/fixed/.*/git-upload-pack$ {{ default_type application/x-git-upload-pack-result; return 200 {refs}; }}
    location ~ ^/fixed/.*/info/refs$ {{
      default_type application/x-git-upload-pack-advertisement; return 200 {capabilities}; }}
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


class LookServer(GitHttp):
    """Serves the bare repositories below `root`. Areas: git; auth (user bot, password s3cret); v0 (an old server); moved
    (301), kept (308), away (302) and twice (307, then 301) lead to git; dumb (plain files); fixed (one ref, answered at
    once, whatever the repository). Plain, with TLS and HTTP/1.1, and with TLS and HTTP/2."""

    def __init__(self, directory, root, requests_a_connection=10_000):
        self.fields = {"root": root, "most": requests_a_connection, "refs": quoted(FIXED_REFS),
                       "capabilities": quoted(FIXED_CAPABILITIES)}
        super().__init__(directory, root)

    def _start_nginx(self):
        d = self.directory
        for attempt in range(PORT_ATTEMPTS):
            self.ports = dict(zip(("http", "https", "h2"), free_ports(3)))
            self.port = self.ports["http"]
            (d / "nginx.conf").write_text(NGINX.format(
                d=d, user="user root;" if os.geteuid() == 0 else "", port=self.port, tls1_port=self.ports["https"],
                tls2_port=self.ports["h2"], **self.fields))
            try:
                run("/usr/sbin/nginx", "-p", d, "-c", d / "nginx.conf")
                return
            except subprocess.CalledProcessError as failure:
                if attempt == PORT_ATTEMPTS - 1 or b"in use" not in failure.output:
                    raise AssertionError(f"nginx: {failure.output.decode(errors='replace')}") from None

    def url(self, name="app.git", area="git", kind="http", user=""):
        return f"{'http' if kind == 'http' else 'https'}://{user}127.0.0.1:{self.ports[kind]}/{area}/{name}"

    def prefix(self, kind="http", path=""):
        return f"{'http' if kind == 'http' else 'https'}://127.0.0.1:{self.ports[kind]}/{path}"

    def _lines(self):
        log = self.directory / "access.log"
        return [line.split('"') for line in log.read_text().splitlines()] if log.exists() else []

    def lines(self, count):
        """["POST /git/app.git/git-upload-pack 200"] of all requests, once there are `count` of them."""
        lines = wait_until(lambda: len(self._lines()) >= count and self._lines(), 30, f"request {count} in the log")
        return [" ".join(line[0].split()[2:5]) for line in lines]

    def asked(self, count):
        """The same in short: "POST", "GET", with the status when it is not 200."""
        short = (request.split() for request in self.lines(count))
        return [method if status == "200" else f"{method} {status}" for method, _, status in short]

    def connections(self, count):
        """The numbers of the connections of all requests."""
        self.lines(count)
        return [line[0].split()[0] for line in self._lines()]

    def protocols(self):
        return {line[0].split()[1] for line in self._lines()}

    def authorizations(self):
        return [line[1] for line in self._lines()]

    def user_agents(self):
        return {line[3] for line in self._lines()}
