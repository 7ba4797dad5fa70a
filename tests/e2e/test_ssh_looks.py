"""phantom_ci-ssh over its pipes, against a real sshd: what servers have, and what ssh_config says."""
import os
import subprocess

import pytest

from env.gitrepo import GitRepo
from env.looks import LOOK, digest, ls_remote
from env.net import message
from env.sshlooks import SSH
from env.waiting import wait_until

RUN = 'eval "$SSH_ORIGINAL_COMMAND"'


def look(ssh_looks, sshd, repo, **options):
    return ssh_looks.ask(sshd.url(repo.bare), **options)


# -------------------------------------------------------------------------------------------------------- what is there


def test_a_look_tells_the_branch_and_the_next_one_uses_the_same_connection(ssh_looks, sshd, repo):
    tip = repo.commit_and_push()
    first = look(ssh_looks, sshd, repo)
    assert (first.outcome, first.refs, first.road, first.error) == ("refs", {"refs/heads/main": tip}, "v2", "")
    assert first.digest == digest(first.refs)
    same = look(ssh_looks, sshd, repo, known=first.digest, road="v2")
    assert (same.outcome, same.digest, same.road) == ("same", first.digest, "v2")
    new = repo.commit_and_push()
    assert look(ssh_looks, sshd, repo, known=first.digest, road="v2").refs == {"refs/heads/main": new}
    assert sshd.logins() == 1 and len(ssh_looks.masters()) == 1


@pytest.mark.parametrize("road", ["", "v2", "v2-asked", "v0"])
def test_globs_and_peeled_tags_are_what_git_sees(ssh_looks, sshd, repo, road):
    repo.commit_and_push()
    for name in ("release/1", "release/2", "other"):
        repo.commit_and_push(branch=name)
    repo.git("tag", "-a", "-m", "one", "v1")
    repo.git("tag", "light")
    repo.git("push", "-q", "origin", "--tags")
    seen = ls_remote(str(repo.bare))
    answer = look(ssh_looks, sshd, repo, wanted="refs/heads/release/*\nrefs/tags/*\nrefs/heads/absent", road=road)
    assert answer.refs == {"refs/heads/release/1": seen["refs/heads/release/1"],
                           "refs/heads/release/2": seen["refs/heads/release/2"],
                           "refs/tags/v1": seen["refs/tags/v1^{}"], "refs/tags/light": seen["refs/tags/light"]}
    assert answer.road == "v2"


def test_an_empty_repository_has_no_refs(ssh_looks, sshd, repo):
    for road in ("", "v2", "v0"):
        answer = look(ssh_looks, sshd, repo, road=road)
        assert (answer.outcome, answer.refs, answer.digest) == ("refs", {}, digest({}))


@pytest.mark.parametrize("protocol,learned", [("0", "v0"), ("1", "v0"), ("2", "v2")])
def test_every_server_ends_in_peace_once_it_is_known(ssh_looks, make_sshd, repo, place, protocol, learned):
    sshd = make_sshd(protocol=protocol)
    sshd.force(f"{RUN}; echo $? >>{place}/codes")
    tip = repo.commit_and_push()
    for road in ("", learned, learned):
        answer = look(ssh_looks, sshd, repo, road=road)
        assert (answer.refs, answer.road) == ({"refs/heads/main": tip}, learned)
    wait_until(lambda: (place / "codes").exists() and (place / "codes").read_text() == "0\n0\n0\n", 60, "three good ends")


@pytest.mark.parametrize("protocol,believed,learned", [("0", "v2", "v0"), ("0", "v2-sha256", "v0"), ("2", "v0", "v2")])
def test_a_server_that_has_changed_is_asked_again(ssh_looks, make_sshd, repo, protocol, believed, learned):
    sshd = make_sshd(protocol=protocol)
    tip = repo.commit_and_push()
    answer = look(ssh_looks, sshd, repo, road=believed)
    assert (answer.outcome, answer.refs, answer.road) == ("refs", {"refs/heads/main": tip}, learned)


@pytest.mark.parametrize("road", ["", "v2", "v2-sha256", "v0"])
def test_a_repository_of_sha256_is_read_whatever_was_believed(ssh_looks, sshd, place, road):
    bare, clone = place / "big.git", place / "big"
    run = {"check": True, "stdout": subprocess.PIPE, "env": GitRepo(place).env}
    subprocess.run(["git", "init", "-q", "--bare", "--object-format=sha256", "-b", "main", bare], **run)
    subprocess.run(["git", "init", "-q", "--object-format=sha256", "-b", "main", clone], **run)
    subprocess.run(["git", "-C", clone, "commit", "-q", "--allow-empty", "-m", "x"], **run)
    subprocess.run(["git", "-C", clone, "push", "-q", bare, "main"], **run)
    answer = ssh_looks.ask(sshd.url(bare), road=road)
    assert answer.refs == ls_remote(str(bare), "refs/heads/main") and len(answer.refs["refs/heads/main"]) == 64
    assert answer.road == "v2-sha256"
    assert ssh_looks.ask(sshd.url(bare), road="v2-sha256").refs == answer.refs


def many_refs(repo, count):
    tip = repo.commit_and_push()
    lines = "".join(f"{tip} refs/heads/main-{number:06}\n" for number in range(count))
    (repo.bare / "packed-refs").write_text("# pack-refs with: peeled fully-peeled sorted \n" + lines)
    return tip


@pytest.mark.parametrize("protocol,road", [("0", ""), ("0", "v0"), ("2", ""), ("2", "v2")])
def test_thirty_thousand_refs_beside_the_wanted_one_are_passed_over(ssh_looks, make_sshd, repo, protocol, road):
    """With protocol v2, too: what is asked for is a prefix."""
    sshd = make_sshd(protocol=protocol)
    tip = many_refs(repo, 30_000)
    assert look(ssh_looks, sshd, repo, road=road).refs == {"refs/heads/main": tip}


def test_thirty_thousand_wanted_refs_come_in_many_messages(ssh_looks, sshd, repo):
    many_refs(repo, 30_000)
    answer = look(ssh_looks, sshd, repo, wanted="refs/heads/*", road="v2")
    assert len(answer.refs) == 30_001 and answer.digest == digest(answer.refs)
    assert look(ssh_looks, sshd, repo, wanted="refs/heads/*", road="v2", known=answer.digest).outcome == "same"


def test_paths_with_blanks_quotes_and_a_tilde_reach_the_repository(ssh_looks, sshd, place):
    home = place / "home"
    for name in ("it's here!", "$(touch x) `touch y`", "100%"):
        repo = GitRepo(place, name)
        tip = repo.commit_and_push()
        encoded = str(repo.bare).replace("%", "%25").replace(" ", "%20")
        assert ssh_looks.ask(sshd.url(encoded)).refs == {"refs/heads/main": tip}, name
        from_home = os.path.relpath(repo.bare, home).replace("%", "%25").replace(" ", "%20")
        assert ssh_looks.ask(sshd.url(f"/~/{from_home}")).refs == {"refs/heads/main": tip}, name


def test_a_forced_command_with_all_restrictions_is_no_obstacle(ssh_looks, sshd, repo):
    """As a deploy key has it; the path of the address does not count."""
    tip = repo.commit_and_push()
    sshd.force(f"exec git-upload-pack '{repo.bare}'")
    for road in ("", "v2"):
        assert ssh_looks.ask(sshd.url("/anything"), road=road).refs == {"refs/heads/main": tip}


def test_a_server_that_waits_for_the_end_of_its_input_gets_it(ssh_looks, sshd, repo):
    tip = repo.commit_and_push()
    sshd.force(f"{RUN}; cat >/dev/null")
    for road in ("", "v2", "v2", "v2"):
        assert look(ssh_looks, sshd, repo, road=road).refs == {"refs/heads/main": tip}
    wait_until(lambda: not sshd.commands(), 60, "the end of the commands")
    assert sshd.logins() == 1


def test_noise_on_stderr_does_not_matter_however_much_it_is(ssh_looks, sshd, repo):
    tip = repo.commit_and_push()
    sshd.force(f"head -c 3000000 /dev/zero >&2; {RUN}; head -c 3000000 /dev/zero >&2")
    for road in ("", "v2"):
        assert look(ssh_looks, sshd, repo, road=road).refs == {"refs/heads/main": tip}


# ----------------------------------------------------------------------------------------------------- what the user has


def test_two_keys_for_one_host_have_connections_of_their_own(ssh_looks, sshd, repo):
    tip = repo.commit_and_push()
    other = sshd.make_key("other")
    sshd.authorize("other")
    sshd.configure()
    for options in (f"key={sshd.key}", f"key={other}", f"key={sshd.key}"):
        assert look(ssh_looks, sshd, repo, options=options).refs == {"refs/heads/main": tip}
    assert sshd.logins() == 2 and len(ssh_looks.masters()) == 2


def test_aliases_ports_and_jump_hosts_of_ssh_config_count(ssh_looks, sshd, repo):
    tip = repo.commit_and_push()
    sshd.configure("Host Behind", "HostName 127.0.0.1", f"Port {sshd.port}", f"User {sshd.user}", "ProxyJump jump",
                   "Host jump", "HostName 127.0.0.1", f"Port {sshd.port}", f"User {sshd.user}")
    for _ in range(2):
        assert ssh_looks.ask(f"Behind:{repo.bare}").refs == {"refs/heads/main": tip}
    assert sshd.logins() == 2, "one to the jump host, one through it"


def test_what_ssh_config_has_for_people_at_a_terminal_does_not_matter(ssh_looks, sshd, repo, place):
    tip = repo.commit_and_push()
    sshd.configure("Host *", "ControlMaster auto", f"ControlPath {place}/theirs-%C", "ControlPersist 60", "RequestTTY force",
                   "RemoteCommand echo hello", "PermitLocalCommand yes", f"LocalCommand touch {place}/local",
                   f"LocalForward {sshd.port + 1} 127.0.0.1:1", "ForwardX11 yes", "ForwardAgent yes", "LogLevel DEBUG3",
                   "EscapeChar ~", "SendEnv LANG LC_*")
    for _ in range(2):
        assert look(ssh_looks, sshd, repo).refs == {"refs/heads/main": tip}
    assert not list(place.glob("theirs*")) and not (place / "local").exists()


def test_a_master_that_goes_into_the_background_is_ended_and_git_is_to_look(ssh_looks, sshd, repo, place):
    repo.commit_and_push()
    sshd.configure("Host *", "ForkAfterAuthentication yes")
    answer = look(ssh_looks, sshd, repo)
    assert (answer.outcome, answer.road) == ("use-git", "git")
    wait_until(lambda: not sshd.connections(), 60, "the end of the connection")


def test_another_program_called_ssh_leaves_the_look_to_git(ssh_looks, sshd, repo):
    ssh_looks.install_ssh("echo 'WARNING: Ignoring unknown option -M' >&2; exit 1")
    answer = look(ssh_looks, sshd, repo)
    assert (answer.outcome, answer.road) == ("use-git", "git") and "exit 1" in answer.error


def test_without_ssh_the_answer_says_how_to_get_it(start_ssh_looks, sshd, repo, place):
    ssh_looks = start_ssh_looks(env={"PATH": f"{place}/empty"})
    answer = look(ssh_looks, sshd, repo)
    assert answer.outcome == "failed" and "cannot run ssh" in answer.error and "openssh-client" in answer.error


def test_the_environment_of_ssh_is_made_from_scratch(start_ssh_looks, sshd, repo, place):
    ssh_looks = start_ssh_looks(env={"LD_PRELOAD": "", "DISPLAY": ":0", "SSH_ASKPASS": "/x", "CANARY": "1",
                                     "GIT_SSH_COMMAND": "x", "SSH_AUTH_SOCK": f"{place}/agent"})
    ssh_looks.install_ssh(f'env >{place}/env; exec /usr/bin/ssh -F "$config" "$@"')
    assert look(ssh_looks, sshd, repo).outcome == "refs"
    names = {line.partition("=")[0]: line.partition("=")[2] for line in (place / "env").read_text().splitlines()}
    assert not {"LD_PRELOAD", "DISPLAY", "CANARY", "GIT_SSH_COMMAND", "XDG_RUNTIME_DIR"} & set(names)
    assert names["SSH_ASKPASS_REQUIRE"] == "never" and names["SSH_AUTH_SOCK"] == f"{place}/agent"


# ------------------------------------------------------------------------------------------------------ other ways there


@pytest.mark.parametrize("fault", ["ssh.hello:*:EIO", "ssh.place:*:EACCES"])
def test_without_the_multiplexing_protocol_a_process_looks(start_ssh_looks, sshd, place, repo, fault):
    """A master of another version is spoken to by ssh's own client; without a place for sockets there is no master."""
    tip = repo.commit_and_push()
    ssh_looks = start_ssh_looks(env={"PHANTOM_CI_FAULT": fault})
    ssh_looks.install_ssh(f'echo start >>{place}/starts; exec /usr/bin/ssh -F "$config" "$@"')
    for number, road in enumerate(["", "v2", "v0", "v2"]):
        ssh_looks.send(number, sshd.url(repo.bare), road=road)
    assert [ssh_looks.answer(number).refs for number in range(4)] == [{"refs/heads/main": tip}] * 4
    absent = ssh_looks.ask(sshd.url("/absent.git"))
    assert absent.outcome == "absent" and "check the path" in absent.error
    starts = len((place / "starts").read_text().splitlines())
    # Five looks, one of them twice: what it was told of the server is wrong.
    assert (starts, sshd.logins()) == ((7, 1) if "hello" in fault else (6, 6))
    assert bool(ssh_looks.errors) == ("place" in fault)


def test_what_is_no_look_over_ssh_is_refused(ssh_looks, sshd, repo):
    for url in ("https://127.0.0.1/x.git", "http://127.0.0.1/x.git"):
        assert ssh_looks.ask(url).outcome == "refused"
    assert ssh_looks.ask("ssh://-oProxyCommand=x/y").outcome == "refused"
    assert ssh_looks.ask(sshd.url(repo.bare), options="proxy=x").error == \
        'the option "proxy" is not known here, empty or given twice'
    sshd.force("cat >/dev/null")
    ssh_looks.write(message(LOOK, *[b"x"] * 7))
    assert ssh_looks.answer("x").outcome == "refused", "a look that is none, but for its name"
    ssh_looks.send("twice", sshd.url(repo.bare))
    ssh_looks.send("twice", sshd.url(repo.bare))
    assert ssh_looks.answer("twice").outcome == "refused"
    ssh_looks.cancel("twice")


def test_its_version_is_that_of_phantom_ci():
    version = subprocess.run([SSH, "--version"], check=True, stdout=subprocess.PIPE).stdout.decode().split()
    assert version[0] == "phantom_ci-ssh" and version[1][0].isdigit()


@pytest.mark.parametrize("arguments", [["x"], ["--idle-ms", "0"], ["--what"]])
def test_wrong_arguments_are_told(arguments):
    result = subprocess.run([SSH, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert result.returncode == 2 and b"--help" in result.stderr or b"--what" in result.stderr
