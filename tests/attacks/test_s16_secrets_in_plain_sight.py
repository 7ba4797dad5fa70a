"""S16. I can push. My step reads the environment and the command line of every process that it sees, for the webhook's address and
whatever else the daemon was trusted with."""
import hashlib

import pytest

SCAN = r"""
import glob
secret = open("what", "rb").read()
found = seen = 0
for name in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try:
        with open(name, "rb") as file:
            text = file.read()
    except OSError:
        continue
    seen += 1
    if secret in text:
        found += 1
print("seen", seen > 0, "found", found)
"""


@pytest.mark.demand("S16")
def test_no_process_shows_a_secret_in_its_environment_or_command_line(site, level):
    # Defence: .env is read from its file when a message is due; phantom_ci-net gets it through a pipe (net/client.c).
    phantom = site.phantom
    env_file = phantom.config / ".env"
    secret = hashlib.sha256(site.directory.name.encode()).hexdigest()
    env_file.write_text(f"DISCORD_WEBHOOK_URL=http://127.0.0.1:9/{secret}\nCUSTOM_WEBHOOK_SECRET={secret}\n")
    env_file.chmod(0o600)
    site.repo.write({"scan.py": SCAN, "what": secret})
    assert site.attack_by_push(level, "/usr/bin/python3 scan.py") in ("seen True found 0\n", None)
