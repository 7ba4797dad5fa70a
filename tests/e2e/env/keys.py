"""Keys that sign commits: of SSH and of GPG, with a home of their own."""
import os
import subprocess


class SshKeys:
    """A directory of SSH keys, and an allowed_signers file."""

    def __init__(self, directory):
        self.directory = directory / "keys"
        self.directory.mkdir(mode=0o700)
        self.allowed = self.directory / "allowed_signers"

    def make(self, name):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self.directory / name)],
                       check=True, timeout=60)
        return self.directory / name

    def public(self, name):
        return (self.directory / f"{name}.pub").read_text().strip()

    def fingerprint(self, name):
        return subprocess.run(["ssh-keygen", "-lf", str(self.directory / f"{name}.pub")], check=True, timeout=60,
                              stdout=subprocess.PIPE, text=True).stdout.split()[1]

    def allow(self, *names, options=""):
        """Only these keys may sign from now on."""
        lines = [f"{name}@example.org {options} {self.public(name)}\n" for name in names]
        self.allowed.write_text("".join(lines))
        self.allowed.chmod(0o600)

    def sign_with(self, repo, name):
        """What is committed in the clone from now on is signed; None: is not."""
        repo.git("config", "gpg.format", "ssh")
        repo.git("config", "commit.gpgSign", "true" if name else "false")
        if name:
            repo.git("config", "user.signingKey", str(self.directory / name))


class GpgKeys:
    """A GPG home with keys, and a key ring that was exported from it."""

    def __init__(self, directory):
        self.home = directory / "gpg"
        self.home.mkdir(mode=0o700)
        self.keyring = directory / "keyring.gpg"
        self.env = {"PATH": os.environ["PATH"], "GNUPGHOME": str(self.home), "HOME": str(directory), "LC_ALL": "C"}

    def run(self, *args):
        return subprocess.run(["gpg", "--batch", "--quiet", *args], env=self.env, check=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout

    def make(self, name):
        """A new key; its fingerprint."""
        self.run("--passphrase", "", "--quick-gen-key", f"{name} <{name}@example.org>", "ed25519", "sign", "never")
        lines = self.run("--with-colons", "--list-keys", f"{name}@example.org").decode().splitlines()
        self.keyring.write_bytes(self.run("--export"))
        self.keyring.chmod(0o600)
        return next(line.split(":")[9] for line in lines if line.startswith("fpr:"))

    def sign_with(self, repo, name):
        repo.env["GNUPGHOME"] = str(self.home)
        repo.git("config", "gpg.format", "openpgp")
        repo.git("config", "commit.gpgSign", "true")
        repo.git("config", "user.signingKey", f"{name}@example.org")

    def stop(self):
        subprocess.run(["gpgconf", "--kill", "all"], env=self.env, timeout=60)
