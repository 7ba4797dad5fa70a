"""S19. I can push. My step writes where the host will run or read it later: shell profiles, cron, units, ssh keys, git's configuration,
the runner's own files, the workspaces of other repositories."""
import hashlib
import pathlib

import pytest

from env.site import shell

# What belongs to the test is attacked with force; of the system, only a new and empty file is tried, lest a test do harm.
OWN = ["HOME/.bashrc", "HOME/.profile", "HOME/.ssh/authorized_keys", "HOME/.ssh/rc", "HOME/.gitconfig", "HOME/.config/git/config",
       "HOME/.config/systemd/user/evil.service", "HOME/.config/autostart/evil.desktop", "HOME/.local/bin/git", "HOME/bin/git",
       "HOME/notes", "CONFIG/Repo.toml", "CONFIG/config.toml", "CONFIG/.env", "STATE/state.db", "STATE/wake", "STATE/lock",
       "STATE/logs/1/output", "CACHE/workspaces/other/main/file", "CACHE/checkouts/other/main/index", "CACHE/mirrors/evil",
       "REMOTES/evil"]
SYSTEM = ["/etc/cron.d", "/etc/profile.d", "/etc/systemd/system", "/usr/local/bin", "/usr/bin", "/root", "/var/spool/cron", "/var/tmp",
          "/dev/shm", "/run", "/tmp", "/lib", "/opt", "/srv", "/dev", "/boot", "/"]
FORCE = r"""
while read -r place; do
    mkdir -p "$(dirname "$place")"; echo evil >> "$place"; echo evil > "$place.new"; mv "$place.new" "$place"; ln -s /x "$place"
    chmod 777 "$place"; rm -rf "$place"
done < own
while read -r place; do touch "$place"; done < system
true
"""


def digests(*directories):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for directory in directories for path in directory.rglob("*")
            if path.is_file() and not path.is_symlink()}


@pytest.mark.demand("S19")
def test_a_step_changes_nothing_of_the_host(site, sandbox):
    # Defence: everything but the workspace and the job's own temporary directory is mounted read-only, or not at all.
    phantom = site.phantom
    other = site.make_repo("other")
    other.workflow(shell("echo other > file"))
    phantom.watch(other, name="other")
    site.own()
    phantom.cli("run", "other", check=0)
    words = {"HOME": phantom.home, "CONFIG": phantom.config, "STATE": phantom.state, "CACHE": phantom.cache,
             "REMOTES": site.repo.bare.parent}
    own = [f"{words[place.split('/')[0]]}/{place.split('/', 1)[1]}\n" for place in OWN]
    system = [pathlib.Path(directory) / f"{site.directory.name}-evil" for directory in SYSTEM]
    assert len(own) + len(system) >= 25
    site.repo.commit({"own": "".join(own), "system": "".join(f"{path}\n" for path in system), "force.sh": FORCE})
    kept = [phantom.home, phantom.config, other.bare, phantom.cache / "workspaces" / "other",
            *(phantom.cache / "mirrors").glob("other*.git")]
    before = digests(phantom.home, other.bare, *kept[3:])
    assert len(before) > 10
    try:
        site.attack(sandbox, shell("sh force.sh 2>/dev/null; touch done; true"))
        made = [path for path in system if path.exists()]
    finally:
        for path in system:
            path.unlink(missing_ok=True)
    assert made == []
    assert digests(phantom.home, other.bare, *kept[3:]) == before
    assert "sandbox" in (phantom.config / "Repo.toml").read_text() and not (phantom.config / "config.toml").exists()
    assert [job["repo"] for job in phantom.jobs()] == ["other", "app"], "the database is whole"
