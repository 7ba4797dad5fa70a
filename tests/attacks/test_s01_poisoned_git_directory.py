"""S1. I can push to a watched branch. My step leaves hooks, filters and every configuration key that names a command in the .git
of the workspace, and, where it finds it, in the runner's mirror. The runner's own git shall run them in the next job: as the
daemon, outside of my sandbox, before anybody looks."""
import hashlib

import pytest

from env.site import shell

KEYS = ["core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.editor", "core.pager", "core.askPass", "diff.external",
        "credential.helper", "gpg.program", "gpg.ssh.program", "sequence.editor", "uploadpack.packObjectsHook",
        "remote.origin.uploadpack", "remote.origin.receivepack", "core.alternateRefsCommand", "gc.recentObjectsHook"]
HOOKS = ["post-checkout", "pre-commit", "post-commit", "post-merge", "post-index-change", "reference-transaction",
         "fsmonitor-watchman", "pre-auto-gc", "post-rewrite", "update", "pre-receive", "post-receive"]

POISON = r"""
for key in KEYS; do git config $key "touch CANARY/$key" || true; done
git config filter.x.smudge 'touch CANARY/smudge'; git config filter.x.clean 'touch CANARY/clean'
git config filter.x.process 'touch CANARY/process'; git config filter.x.required true
echo '* filter=x diff=x' > .git/info/attributes; git config diff.x.textconv 'touch CANARY/textconv'
git config include.path CANARY/more; git config core.worktree /etc; git config core.hooksPath CANARY/hooks
mkdir -p .git/hooks
for hook in HOOKS; do printf '#!/bin/sh\ntouch CANARY/hook\n' > .git/hooks/$hook; chmod +x .git/hooks/$hook; done
touch .git/index.lock .git/HEAD.lock
echo changed > file; git update-index --skip-worktree file || true
chmod 600 other; mkdir -p ignored/deep nested; echo x > ignored/deep/x; git init -q nested; echo y > nested/y
mkdir ro; touch ro/x; chmod 555 ro; chmod 000 ignored/deep; mkdir empty; mkfifo pipe; ln -s /etc/passwd link
MIRROR
true
"""
# From inside of a sandbox it is worth a try; without one it is a file of the same user, and nothing is promised.
POISON_MIRROR = r"""
mirror=$(dirname "$(cat .git/objects/info/alternates)")
printf '[core]\n\tfsmonitor = touch CANARY/mirror\n' >> "$mirror/config"
mkdir -p "$mirror/hooks"; cp .git/hooks/reference-transaction "$mirror/hooks/"
"""
LIST = "cat file; stat -c %a other; git status --porcelain --ignored; find . -path ./.git -prune -o -print | sort"
CLEAN = "original\n644\n.\n./.gitignore\n./file\n./other\n./poison.sh\n./workflow\n./workflow/main.toml\n"


def digests(directory):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in directory.glob("mirrors/*.git/config")} | {path: None for path in directory.glob("mirrors/*.git/hooks/*")}


@pytest.mark.demand("S1")
@pytest.mark.demand("F2")
def test_what_a_step_leaves_in_the_workspace_never_reaches_the_next_job(site, level):
    # Defence: git/checkout.c and git/mirror.c run git with --git-dir of a mirror that no sandboxed step can write, a private
    # index, and GIT_CONFIG_GLOBAL=/dev/null; the .git of the workspace is removed unread.
    canary = site.make_open_directory("canary")
    script = POISON.replace("MIRROR", POISON_MIRROR if level != "off" else "")
    for word, value in (("KEYS", " ".join(KEYS)), ("HOOKS", " ".join(HOOKS)), ("CANARY", str(canary))):
        script = script.replace(word, value)
    site.repo.commit({"file": "original\n", "other": "other\n", ".gitignore": "ignored/\n", "poison.sh": script})
    if site.attack(level, "sh poison.sh") is None:
        return
    for path in canary.iterdir():  # the step's own git commands may have run its own configuration
        path.unlink()
    before = digests(site.phantom.cache)
    assert before and not any("hooks" in str(path) for path in before)
    assert "touch" not in next(iter(before)).read_text()
    for _ in range(3):
        assert site.attack_again(level, shell(LIST)) == CLEAN
    assert not list(canary.iterdir())
    assert digests(site.phantom.cache) == before
