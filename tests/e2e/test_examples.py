"""The examples do what they say.

The Docker image is not built here, for that needs a registry and a mirror of Debian; its statements are checked. Whoever
changes the Dockerfile builds it by hand, as its first lines say, and runs a job in it.
"""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import time
import tomllib

import pytest

from env.phantom import BUILD, ROOT
from env.processes import processes_of
from env.waiting import LIMIT

EXAMPLES = ROOT / "examples"
MUST_RUN = os.environ.get("PHANTOM_CI_TESTS_MUST_RUN") == "1"


def yaml_of(name):
    try:
        import yaml
    except ImportError:
        assert not MUST_RUN, "there is no yaml for this Python; ./dev setup installs it"
        pytest.skip("there is no yaml for this Python")
    return [part for part in yaml.safe_load_all((EXAMPLES / name).read_text()) if part]


def check(phantom, name, text, code=0):
    path = phantom.directory / name
    path.write_text(text)
    path.chmod(0o600)
    return phantom.cli("check", path, check=code)


# ------------------------------------------------------------------------------------------------------- TOML and .env


def test_every_toml_file_among_the_examples_is_valid(phantom):
    found = sorted(EXAMPLES.rglob("*.toml"))
    assert {path.name for path in found} >= {"Repo.toml", "config.toml", "workflow.toml", "workflow-big.toml"}
    for path in found:
        check(phantom, path.name, path.read_text())


def keys_of(source, table):
    """The keys of a table of src/config that this version has."""
    text = (ROOT / "src" / "config" / source).read_text()
    rows = text[text.index(f" {table}[] = {{"):]
    rows = rows[:rows.index("{NULL}")]
    keys = set(re.findall(r'^    \{"(\w+)",', rows, re.M))
    assert len(keys) > 10, f"the tables in {source} look different now"
    return keys


def test_every_key_of_this_version_is_shown_in_an_example():
    repo = tomllib.loads((EXAMPLES / "Repo.toml").read_text())
    assert set().union(*repo.values()) == keys_of("repo_section.c", "repo_section_keys")
    assert set(tomllib.loads((EXAMPLES / "config.toml").read_text())) == keys_of("config.c", "runner_keys")


def test_the_values_in_config_toml_are_the_defaults():
    """Its head says so. What the README's tables say of them is compared."""
    page = (ROOT / "README.md").read_text()
    defaults = {}
    for names, values in re.findall(r"^\| (`[a-z_`, ]+`) \| (`[^|]+`) \|", page, re.M):
        names, values = re.findall(r"`(\w+)`", names), re.findall(r"`([^`]+)`", values)
        if len(names) == len(values):
            defaults.update(zip(names, (value.strip('"') for value in values)))
    shown = tomllib.loads((EXAMPLES / "config.toml").read_text())
    compared = {key for key in shown if key in defaults}
    assert compared >= {"max_looks", "look_timeout", "keep_jobs", "keep_bytes", "min_free", "timeout", "log_cap"}
    assert {key: str(shown[key]) for key in compared} == {key: defaults[key] for key in compared}


def test_the_shell_scripts_in_the_big_workflow_are_scripts():
    steps = tomllib.loads((EXAMPLES / "workflow-big.toml").read_text())
    scripts = 0
    for number, step in steps.items():
        words = shlex.split(step["run"]) if isinstance(step["run"], str) else step["run"]
        for option, script in zip(words, words[1:]):
            if words[0] == "bash" and option in ("-c", "-lc"):
                subprocess.run(["bash", "-n", "-c", script], check=True)
                scripts += 1
                if shutil.which("shellcheck"):
                    said = subprocess.run(["shellcheck", "--shell=bash", "-e", "SC2012", "-"], input=script.encode(),
                                          stdout=subprocess.PIPE)
                    assert said.returncode == 0, (number, said.stdout.decode())
    assert scripts >= 5


def test_the_example_of_env_is_understood_as_it_is_and_with_its_lines_in_force(phantom):
    text = (EXAMPLES / "env").read_text()
    path = phantom.config / ".env"
    phantom.write_repo_toml("")
    in_force = re.sub(r"^# (?=[A-Z_]+=)", "", text, flags=re.M)
    for content, hosts in ((text, set()), (in_force, {"discord.com", "hooks.slack.com", "ci.example.org"})):
        path.write_text(content)
        path.chmod(0o600)
        phantom.cli("notify", "list", check=0)
        rows = [row for row in phantom.json("doctor", "--offline") if row["check"] in ("env-file", "webhook")]
        assert rows and not [row for row in rows if row["status"] in ("fail", "warn")], rows
        said = " ".join(row["subject"] + row["detail"] for row in rows)
        assert {host for host in ("discord.com", "hooks.slack.com", "ci.example.org") if host in said} == hosts
        path.chmod(0o644)
        rows = [row for row in phantom.json("doctor", "--offline") if row["check"] == "env-file"]
        assert rows[0]["status"] == "fail" and "chmod 600" in rows[0]["mend"]


# ---------------------------------------------------------------------------------------------------- the hook


def install_hook(phantom, repo, path=None, **settings):
    """The hook in the bare repository, for pushes by the user who runs the daemon."""
    hook = repo.bare / "hooks" / "post-receive"
    shutil.copy(EXAMPLES / "post-receive", hook)
    assert os.access(hook, os.X_OK)
    for key, value in settings.items():
        repo.git("config", f"phantom-ci.{key}", value, cwd=repo.bare)
    repo.env.update({name: phantom.env[name] for name in phantom.env if name not in ("PATH", "HOME")})
    repo.env.update({"PATH": path or f"{BUILD / 'src'}:{repo.env['PATH']}", "PHANTOM_CI_CONFIG_DIR": str(phantom.config),
                     "PHANTOM_CI_STATE_DIR": str(phantom.state), "PHANTOM_CI_CACHE_DIR": str(phantom.cache)})


def push(repo):
    """A push, and what the one who pushes sees of the hook; it must not fail."""
    sha = repo.commit({"file": str(time.monotonic_ns())})
    result = subprocess.run(["git", "push", "origin", "HEAD:refs/heads/main"], cwd=repo.clone, env=repo.env, timeout=LIMIT,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = result.stdout.decode()
    assert result.returncode == 0, said
    assert repo.git("rev-parse", "refs/heads/main", cwd=repo.bare) == sha
    return sha, "\n".join(line for line in said.splitlines() if line.startswith("remote:"))


def path_without_phantom_ci(place, *programs):
    """A PATH with the programs that a hook needs, and no phantom_ci."""
    directory = place / "bin"
    directory.mkdir()
    for name in ("git", "sh", "cat", "id", "git-receive-pack", *programs):
        (directory / name).symlink_to(shutil.which(name))
    return str(directory)


@pytest.mark.parametrize("name", ["app", "another"])
def test_a_push_runs_at_once_by_the_hook(phantom, repo, name):
    repo.workflow("true")
    phantom.watch(repo, name=name, poll_interval="1h")
    phantom.start()
    phantom.wait_baseline(name)
    install_hook(phantom, repo, **({} if name == "app" else {"name": name}))
    sha, said = push(repo)
    assert f"looking at {name} now" in said
    job = phantom.wait_job(sha=sha)
    assert job["state"] == "success" and job["repo"] == name


def test_a_push_goes_through_without_a_daemon_and_says_so(phantom, repo):
    repo.workflow("true")
    phantom.watch(repo)
    install_hook(phantom, repo)
    _, said = push(repo)
    assert "no daemon is running" in said and "found by the next look" in said


def test_a_push_goes_through_when_nobody_watches_that_name(phantom, repo):
    phantom.watch(repo)
    phantom.start()
    install_hook(phantom, repo, name="nobody-knows-it")
    _, said = push(repo)
    assert "nobody-knows-it" in said and "found by the next look" in said


def test_a_push_goes_through_without_the_program(phantom, repo, place):
    install_hook(phantom, repo, path=path_without_phantom_ci(place))
    _, said = push(repo)
    assert "there is no phantom_ci in PATH" in said


def test_a_push_waits_five_seconds_at_most_for_a_program_that_hangs(phantom, repo, place):
    program = place / "hangs"
    program.write_text("#!/bin/sh\ntrap '' TERM\nsleep 1000 & wait; sleep 1000\n")
    program.chmod(0o755)
    install_hook(phantom, repo, program=str(program))
    begin = time.monotonic()
    _, said = push(repo)
    assert time.monotonic() - begin < 60
    assert "no answer within four seconds" in said
    assert not [one for one in processes_of(place) if "hangs" in one[1]]


def test_for_another_user_the_hook_asks_sudo_for_the_one_documented_command(phantom, repo, place):
    path = path_without_phantom_ci(place, "timeout")
    for name, text in (("phantom_ci", "exit 99"), ("sudo", f'printf "%s\\n" "$@" >{place}/words; printenv GIT_DIR; exit 0')):
        (place / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / "bin" / name).chmod(0o755)
    install_hook(phantom, repo, path=path, user="builder", name="project")
    _, said = push(repo)
    assert "looking at project now" in said
    words = (place / "words").read_text().split("\n")[:-1]
    assert words == ["-n", "-H", "-u", "builder", f"{path}/phantom_ci", "poll", "project"]
    rule = re.search(r"NOPASSWD: (.*)", (EXAMPLES / "post-receive").read_text())[1]
    assert rule.split()[1:] == words[5:] and "*" not in rule


# ------------------------------------------------------------------------------------------------ Docker and Kubernetes


def dockerfile():
    """[(instruction, rest)], continued lines joined."""
    text = re.sub(r"^#.*\n", "", (EXAMPLES / "docker" / "Dockerfile").read_text(), flags=re.M)
    return [tuple(line.split(None, 1)) for line in text.replace("\\\n", "").splitlines() if line.strip()]


def test_the_image_has_an_init_a_user_and_a_health_check_and_no_secret():
    statements = dockerfile()
    last = max(at for at, (word, _) in enumerate(statements) if word == "FROM")
    stages, final = statements[:last], statements[last:]
    assert [word for word, _ in stages].count("FROM") == 1, "two stages: no compiler in the image that runs"
    one = {word: rest for word, rest in final}
    assert re.fullmatch(r"\$\{UID\}:\$\{GID\}", one["USER"])
    assert all(int(rest.split("=")[1]) > 0 for word, rest in final if word == "ARG")
    assert one["ENTRYPOINT"] == '["/usr/bin/tini", "--", "/usr/local/bin/phantom_ci"]' and one["CMD"] == '["--kill-jobs"]'
    assert '"status", "--stale", "10m"' in one["HEALTHCHECK"]
    for directory in ("/etc/phantom_ci", "/var/lib/phantom_ci", "/var/cache/phantom_ci"):
        assert f'"{directory}"' in one["VOLUME"]
    assert all(package in " ".join(rest for _, rest in final) for package in ("git", "openssh-client", "tini"))
    # Nothing is copied in but what was built, nothing is fetched by other ways than the package manager.
    assert [rest for word, rest in final if word in ("COPY", "ADD")] == ["--from=build /installed/ /"]
    everything = " ".join(rest for _, rest in statements)
    assert not re.search(r"curl |wget |EXPOSE|sudo", everything) and not re.search(r"(?i)(token|password|secret\w*)=", everything.replace(
        "CREDENTIALS_DIRECTORY=/run/secrets", ""))
    assert "EXPOSE" not in [word for word, _ in statements]


def test_the_files_that_hold_secrets_stay_out_of_the_image():
    ignored = (EXAMPLES / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    assert {".git", "build", "**/.env"} <= set(ignored)


def test_the_image_names_programs_and_libraries_that_phantom_ci_links():
    """A library that is linked and not in the image would be seen only by who starts it."""
    packages = {"libglib-2.0.so.0": "libglib2.0-0", "libsqlite3.so.0": "libsqlite3-0", "libjansson.so.4": "libjansson4",
                "libcurl.so.4": "libcurl4", "libseccomp.so.2": "libseccomp2"}
    # A build with sanitizers takes toml++ as a library; one for use has it inside.
    base = re.compile(r"lib(c|m|gcc_s|pthread|dl|rt|asan|ubsan|stdc\+\+|tomlplusplus)\.so|ld-linux")
    text = (EXAMPLES / "docker" / "Dockerfile").read_text()
    for program in ("phantom_ci", "phantom_ci-job", "phantom_ci-net", "phantom_ci-ssh"):
        said = subprocess.run(["readelf", "-d", BUILD / "src" / program], check=True, stdout=subprocess.PIPE).stdout.decode()
        for library in re.findall(r"\(NEEDED\).*\[(.*)\]", said):
            assert base.match(library) or f" {packages[library]} " in text.replace("\n", " "), library


def test_the_compose_file_gives_the_container_nothing_it_does_not_need():
    (compose,) = yaml_of("docker/compose.yaml")
    assert list(compose["services"]) == ["phantom_ci"]
    service = compose["services"]["phantom_ci"]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0 and service["mem_limit"]
    for key in ("privileged", "ports", "expose", "network_mode", "pid", "ipc", "cap_add", "devices", "environment", "user"):
        assert key not in service, key
    assert not [volume for volume in service["volumes"] if "docker.sock" in volume or volume.startswith("/")]
    assert set(service["secrets"]) == set(compose["secrets"]) == {"phantom_ci.env", "ssh_key"}
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
    named = {volume.split(":")[0] for volume in service["volumes"] if not volume.startswith(".")}
    assert named == set(compose["volumes"])
    # What is mounted read-only is configuration; the rest is where the image says that its state is.
    targets = {volume.split(":")[1] for volume in service["volumes"]}
    assert targets >= {"/etc/phantom_ci", "/var/lib/phantom_ci", "/var/cache/phantom_ci"}
    said = (EXAMPLES / "docker" / "compose.yaml").read_text()
    assert "chmod 600" in said and "install -m 600" in said
    context = (EXAMPLES / "docker" / service["build"]["context"]).resolve()
    assert (context / service["build"]["dockerfile"]).is_file() and (context / "meson.build").is_file()


def walk(value):
    """All tables of a YAML document."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for item in value if isinstance(value, list) else []:
        yield from walk(item)


def test_the_pod_has_no_privileges_and_nothing_listens():
    documents = yaml_of("kubernetes/phantom_ci.yaml")
    kinds = [document["kind"] for document in documents]
    assert sorted(kinds) == ["ConfigMap", "ConfigMap", "Namespace", "NetworkPolicy", "StatefulSet"]
    by_kind = {document["kind"]: document for document in documents}
    namespace = by_kind["Namespace"]["metadata"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert all(document["metadata"].get("namespace", namespace["name"]) == namespace["name"] for document in documents)
    spec = by_kind["StatefulSet"]["spec"]
    assert spec["replicas"] == 1
    pod = spec["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    containers = pod["containers"] + pod.get("initContainers", [])
    assert len(containers) == 1, "no side-car"
    for container in containers:
        context = container["securityContext"]
        assert context["privileged"] is False and context["allowPrivilegeEscalation"] is False
        assert context["runAsNonRoot"] is True and context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
        assert "ports" not in container and "env" not in container, "secrets are files"
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        claims = {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]} | claims
    for table in walk(documents):
        for key in ("hostPath", "hostNetwork", "hostPID", "hostIPC", "hostPort", "shareProcessNamespace", "add", "procMount"):
            assert key not in table, key
    (secret,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    assert secret["defaultMode"] == 0o400
    assert by_kind["NetworkPolicy"]["spec"]["policyTypes"] == ["Ingress"] and "ingress" not in by_kind["NetworkPolicy"]["spec"]


def test_the_configuration_in_the_config_map_is_valid(phantom):
    documents = yaml_of("kubernetes/phantom_ci.yaml")
    (data,) = [one["data"] for one in documents if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "phantom-ci"]
    assert set(data) == {"Repo.toml", "config.toml"}
    for name, text in data.items():
        check(phantom, name, text)


def test_every_example_is_named_in_the_list_of_examples():
    listed = set(re.findall(r"\]\(([^)]+)\)", (EXAMPLES / "README.md").read_text()))
    present = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.is_file()}
    hidden = {name for name in present if name == "README.md" or pathlib.PurePath(name).suffix == ".dockerignore"}
    assert listed - {"../SECURITY.md"} == present - hidden
