"""Messages: what receivers get, and what their trouble does not do."""
import contextlib
import hashlib
import hmac
import json
import os
import random
import re
import resource
import signal
import sqlite3
import time

import pytest

from env import receiver as replies
from env.receiver import Receiver
from env.waiting import LIMIT

SECRET = "s3cret-of-the-receiver"
TOKEN = "canary-4f1d9c-token"
MUST_RUN = os.environ.get("PHANTOM_CI_TESTS_MUST_RUN") == "1"


@pytest.fixture
def make_receiver(place):
    made = []

    def make(name="receiver", **options):
        made.append(Receiver(place, name=name, **options))
        return made[-1]
    yield make
    for one in made:
        one.stop()


@pytest.fixture
def receiver(make_receiver):
    return make_receiver()


def write_env(phantom, *lines, mode=0o600):
    path = phantom.config / ".env"
    temporary = phantom.config / ".env.new"
    temporary.write_text("".join(f"{line}\n" for line in lines))
    temporary.chmod(mode)
    temporary.rename(path)


def to_custom(phantom, receiver, secret=True):
    lines = [f"CUSTOM_WEBHOOK_URL={receiver.url(f'/{TOKEN}')}"]
    write_env(phantom, *lines, *([f'CUSTOM_WEBHOOK_SECRET="{SECRET}"'] if secret else []))


def start(phantom, *args, retry_ms=50):
    return phantom.start(*args, env={"PHANTOM_CI_TEST_RETRY_MS": str(retry_ms)})


def ready(phantom, repo, *steps, retry_ms=50, **keys):
    repo.workflow(*steps)
    phantom.watch(repo, **keys)
    daemon = start(phantom, retry_ms=retry_ms)
    phantom.wait_baseline()
    return daemon


def kinds(receiver):
    return [request.json()["kind"] for request in receiver.requests]


def messages(phantom, **wanted):
    found = phantom.json("notify", "list", "--limit", "0")
    return [message for message in reversed(found) if all(message[key] == value for key, value in wanted.items())]


def wait_delivered(phantom, count):
    return phantom.wait_until(lambda: len(messages(phantom, state="delivered")) >= count and
                              messages(phantom, state="delivered"), what=f"{count} delivered messages")


def test_start_failed_step_and_end_reach_all_three_receivers(phantom, repo, make_receiver):
    discord, slack, custom = (make_receiver(name) for name in ("discord", "slack", "custom"))
    write_env(phantom, f"export DISCORD_WEBHOOK_URL='{discord.url('/api/webhooks/1/x')}'",
              f"SLACK_WEBHOOK_URL={slack.url('/services/T/B/x')} # the team", f"CUSTOM_WEBHOOK_URL = \"{custom.url()}\"")
    ready(phantom, repo, "true", "sh -c 'echo the reason; exit 3'")
    sha = repo.commit_and_push(subject="break it")
    for one in (discord, slack, custom):
        requests = one.wait_requests(3)
        assert all(request.method == "POST" for request in requests)
        assert all(request.headers["content-type"].startswith("application/json") for request in requests)
    assert kinds(custom) == ["started", "step_failed", "finished"]
    started, failed, finished = (request.json() for request in custom.requests)
    for message in (started, failed, finished):
        assert message["version"] == 1 and message["repo"] == "app" and message["branch"] == "main"
        assert message["sha"] == sha and message["subject"] == "break it" and message["author"].startswith("Ada")
        assert message["title"] and message["message"]
    assert failed["step"]["number"] == 1 and failed["step"]["exit_code"] == 3
    assert "the reason" in failed["log_tail"]
    assert finished["state"] == "failed" and finished["duration_ms"] >= 0
    texts = [json.dumps(request.json(), ensure_ascii=False) for request in discord.requests]
    assert all(request.json()["allowed_mentions"] == {"parse": []} for request in discord.requests)
    assert "the reason" in texts[1] and sha[:7] in texts[0]
    assert "the reason" in json.dumps(slack.requests[1].json()) and slack.requests[1].json()["blocks"]
    wait_delivered(phantom, 9)


@pytest.mark.parametrize("policy,expected", [
    ("all", ["started", "finished", "started", "step_failed", "finished", "started", "step_failed", "finished",
             "started", "finished"]),
    ("failures", ["finished:failed", "finished:failed"]),
    ("changes", ["finished:failed", "finished:success"]),
    ("none", []),
])
def test_notify_says_which_messages_are_sent(phantom, repo, receiver, policy, expected):
    to_custom(phantom, receiver)
    ready(phantom, repo, "sh -c '! test -e bad'", notify=policy)
    for files, subject in (({"bad2": ""}, "good"), ({"bad": ""}, "bad"), ({"more": ""}, "still bad"), (None, "mended")):
        if files is None:
            repo.git("rm", "-q", "bad")
        sha = repo.commit(files, subject=subject)
        repo.push()
        phantom.wait_job(sha=sha)
    assert [job["state"] for job in phantom.jobs()] == ["success", "failed", "failed", "success"]
    phantom.cli("poll")
    phantom.wait_until(lambda: not outbox_rows(phantom, "new"), what="all notices to be addressed")
    phantom.wait_until(lambda: len(messages(phantom, state="delivered")) == len(messages(phantom)), what="delivery")
    seen = [request.json() for request in receiver.requests]
    if policy == "all":
        assert [message["kind"] for message in seen] == expected
    else:
        assert [f"{message['kind']}:{message['state']}" for message in seen] == expected
        assert all(message["step"]["exit_code"] == 1 for message in seen if message["state"] == "failed")


def outbox_rows(phantom, state):
    with sqlite3.connect(f"file:{phantom.state}/state.db?mode=ro", uri=True) as database:
        return database.execute("SELECT * FROM outbox WHERE state = ?", (state,)).fetchall()


def test_a_rewind_that_is_blocked_is_told(phantom, repo, receiver):
    to_custom(phantom, receiver)
    ready(phantom, repo, "true", notify="failures", on_rewind="block")
    repo.commit_and_push()
    phantom.wait_job(state="success")
    repo.git("reset", "-q", "--hard", "HEAD~1")
    repo.push("main", "-f")
    message = receiver.wait_requests(1)[0].json()
    assert message["kind"] == "blocked" and "rewound" in message["reason"]


def test_an_interrupted_job_is_told_once(phantom, repo, receiver):
    to_custom(phantom, receiver)
    daemon = ready(phantom, repo, "sleep 600", notify="failures")
    repo.commit_and_push()
    phantom.wait_job(state="running")
    phantom.wait_until(lambda: phantom.job(1)["steps"], what="the step to run")
    for pid, command in phantom.processes():
        if "phantom_ci-job" in command:
            os.kill(pid, signal.SIGKILL)
    phantom.wait_job(state="interrupted")
    assert receiver.wait_requests(1)[0].json()["kind"] == "interrupted"
    wait_delivered(phantom, 1)
    daemon.stop()
    start(phantom)
    phantom.cli("poll")
    phantom.wait_idle()
    assert len(receiver.requests) == 1


def test_a_missing_branch_is_told_once(phantom, repo, receiver):
    to_custom(phantom, receiver)
    repo.workflow("true")
    repo.push("main")
    phantom.watch(repo, branch=["main", "release"])
    start(phantom)
    message = receiver.wait_requests(1)[0].json()
    assert message["kind"] == "branch_missing" and message["branch"] == "release"
    repo.commit_and_push()
    receiver.wait_requests(3)
    assert kinds(receiver) == ["branch_missing", "started", "finished"]


@pytest.mark.demand("B7")
@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_the_end_by_timeout_and_by_cancel_is_told(phantom, repo, receiver, how):
    to_custom(phantom, receiver)
    ready(phantom, repo, "sleep 600", timeout="400ms" if how == "timeout" else "1h", grace="50ms")
    repo.commit_and_push()
    if how == "cancel":
        phantom.wait_job(state="running")
        phantom.cli("cancel", "1", check=0)
    phantom.wait_job()
    phantom.wait_until(lambda: kinds(receiver)[-1:] == ["finished"], what="the message of the end")
    assert receiver.requests[-1].json()["state"] == ("timeout" if how == "timeout" else "canceled")


def test_custom_messages_are_signed_and_keep_their_key_over_attempts(phantom, repo, receiver):
    to_custom(phantom, receiver)
    receiver.script(replies.status(500), replies.status(503), replies.ok())
    ready(phantom, repo, "true")
    repo.commit_and_push()
    requests = receiver.wait_requests(4)
    for request in requests:
        wanted = "sha256=" + hmac.new(SECRET.encode(), request.body, hashlib.sha256).hexdigest()
        assert request.headers["x-phantom-ci-signature-256"] == wanted
    keys = [request.headers["idempotency-key"] for request in requests]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert requests[0].body == requests[2].body
    first = wait_delivered(phantom, 2)[0]
    assert first["attempts"] == 3 and first["status"] == 200


@pytest.mark.demand("G2")
def test_a_receiver_that_asks_for_an_hour_holds_back_no_job(phantom, repo, receiver):
    to_custom(phantom, receiver)
    receiver.script(replies.retry_after("3600"))
    ready(phantom, repo, "true", retry_ms=1)
    for _ in range(2):
        assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    assert len(receiver.requests) == 1


@pytest.mark.demand("G2")
def test_retry_after_is_obeyed(phantom, repo, receiver):
    to_custom(phantom, receiver)
    receiver.script(replies.retry_after("2"))
    ready(phantom, repo, "true", retry_ms=1)
    repo.commit_and_push()
    assert phantom.wait_job()["state"] == "success"
    first, second = receiver.wait_requests(2)
    assert second.monotonic - first.monotonic >= 1.9
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


@pytest.mark.demand("G2")
def test_a_used_up_rate_pauses_the_receiver(phantom, repo, receiver):
    write_env(phantom, f"DISCORD_WEBHOOK_URL={receiver.url()}")
    receiver.script(replies.status(204, headers=[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset-After", "1.5")]))
    ready(phantom, repo, "true")
    repo.commit_and_push()
    first, second = receiver.wait_requests(2)
    assert second.monotonic - first.monotonic >= 1.4


@pytest.mark.demand("G2")
@pytest.mark.parametrize("trouble", ["hang", "close", "reset", "drip"])
def test_a_bad_receiver_delays_neither_jobs_nor_other_receivers(phantom, repo, make_receiver, trouble):
    bad, good = make_receiver("bad"), make_receiver("good")
    bad.default = {"hang": replies.hang, "close": replies.close, "reset": replies.reset,
                   "drip": replies.drip_head}[trouble]()
    write_env(phantom, f"SLACK_WEBHOOK_URL={bad.url()}", f"CUSTOM_WEBHOOK_URL={good.url()}")
    daemon = ready(phantom, repo, "true", retry_ms=200)
    for _ in range(3):
        assert phantom.wait_job(sha=repo.commit_and_push())["state"] == "success"
    good.wait_requests(6)
    bad.wait_requests(1)
    assert len({request.headers.get("idempotency-key") for request in good.requests}) == 6
    lines = [line for line in daemon.lines if "message failed" in line]
    assert len(lines) <= len(bad.requests), "at most one line an attempt"
    assert {message["state"] for message in messages(phantom, target="slack")} & {"waiting", "sending"}


@pytest.mark.demand("G3")
def test_a_refused_message_is_given_up_listed_and_sent_again_on_request(phantom, repo, receiver):
    to_custom(phantom, receiver)
    receiver.script(replies.status(404, b'{"error": "no such hook"}\n'))
    daemon = ready(phantom, repo, "true", notify="failures")
    repo.workflow("false")
    repo.push()
    daemon.wait_event("message given up .*target=custom .*404")
    lost = messages(phantom, state="given up")
    assert len(lost) == 1 and lost[0]["status"] == 404 and lost[0]["answer"] == 'HTTP 404: {"error": "no such hook"}'
    assert "1 given up" in phantom.cli("status").out
    assert phantom.json("status")[0]["messages_given_up"] == 1
    table = phantom.cli("notify", "list", "--state", "given-up", check=0).out
    assert "custom" in table and "404" in table and TOKEN not in table
    phantom.cli("notify", "retry", lost[0]["id"], check=0)
    wait_delivered(phantom, 1)
    assert len(receiver.requests) == 2 and receiver.requests[0].json()["job"] == receiver.requests[1].json()["job"]
    assert len([line for line in daemon.lines if "message" in line]) == 1, "no message about a message"


def test_a_redirect_to_another_host_is_not_followed(phantom, repo, make_receiver):
    first, other = make_receiver("first"), make_receiver("other")
    to_custom(phantom, first)
    first.default = replies.redirect(other.url("/stolen", host="localhost"))
    ready(phantom, repo, "true", notify="all")
    repo.commit_and_push()
    phantom.wait_until(lambda: len(messages(phantom, state="given up")) == 2, what="both messages given up")
    assert other.requests == []


def test_without_a_receiver_nothing_is_kept_and_nothing_is_started(phantom, repo):
    daemon = ready(phantom, repo, "false")
    repo.commit_and_push()
    phantom.wait_job(state="failed")
    phantom.wait_until(lambda: not outbox_rows(phantom, "new"), what="the notices to be dropped")
    assert phantom.json("notify", "list") == []
    assert "no receiver" in phantom.cli("notify", "list", check=0).out
    children = [command for pid, command in phantom.processes() if "phantom_ci-net" in command]
    assert not children and daemon.is_alive()


def test_an_env_that_others_can_read_holds_messages_back_until_it_is_mended(phantom, repo, receiver):
    write_env(phantom, f"CUSTOM_WEBHOOK_URL={receiver.url(f'/{TOKEN}')}", mode=0o640)
    daemon = ready(phantom, repo, "true")
    repo.commit_and_push()
    phantom.wait_job(state="success")
    line = daemon.wait_event("messages held back")
    assert "chmod 600" in line and TOKEN not in line
    assert receiver.requests == []
    (phantom.config / ".env").chmod(0o600)
    write_env(phantom, f"CUSTOM_WEBHOOK_URL={receiver.url(f'/{TOKEN}')}")
    receiver.wait_requests(2)
    assert kinds(receiver) == ["started", "finished"]
    assert len([line for line in daemon.lines if "messages held back" in line]) == 1


def test_messages_of_a_receiver_that_env_names_no_longer_are_given_up(phantom, repo, receiver):
    to_custom(phantom, receiver)
    receiver.default = replies.status(500)
    daemon = ready(phantom, repo, "true", retry_ms=3600 * 1000)
    repo.commit_and_push()
    receiver.wait_requests(1)
    phantom.wait_until(lambda: len(messages(phantom, state="waiting")) == 2, what="both messages to wait")
    write_env(phantom)
    phantom.wait_until(lambda: len(messages(phantom, state="given up")) == 2, what="the messages given up")
    assert "no such receiver" in messages(phantom)[1]["answer"]
    assert len([line for line in daemon.lines if "given up" in line]) == 1, "one line, however many they are"


@pytest.mark.demand("G1")
def test_a_mebibyte_of_any_output_is_told_within_the_limits(phantom, repo, make_receiver):
    discord, slack, custom = (make_receiver(name) for name in ("discord", "slack", "custom"))
    write_env(phantom, f"DISCORD_WEBHOOK_URL={discord.url()}", f"SLACK_WEBHOOK_URL={slack.url()}",
              f"CUSTOM_WEBHOOK_URL={custom.url()}")
    output = ("a\u00e9\u20ac\U0001f600`*_<!channel>@everyone &\x1b[31m\\" * 40000).encode() + b"\xff\x00\nthe end\n"
    repo.write({"output": output})
    ready(phantom, repo, "sh -c 'cat output; exit 1'", notify="failures")
    repo.commit_and_push()
    units = lambda text: len(text.encode("utf-16-le")) // 2  # noqa: E731
    embed = discord.wait_requests(1)[0].json()["embeds"][0]
    assert units(embed["title"]) <= 256 and units(embed["description"]) <= 4096
    assert "the end" in json.dumps(embed) and "\x1b" not in json.dumps(embed)
    for block in slack.wait_requests(1)[0].json()["blocks"]:
        text = block.get("text", {}).get("text", "")
        assert units(text) <= (150 if block["type"] == "header" else 3000) and "<!channel>" not in text
    assert "the end" in custom.wait_requests(1)[0].json()["log_tail"]


@pytest.mark.demand("E3")
@pytest.mark.demand("O13")
def test_no_secret_is_seen_anywhere_but_at_the_receiver(phantom, repo, receiver):
    to_custom(phantom, receiver)
    receiver.script(replies.status(500, receiver.url(f"/{TOKEN}").encode()), replies.status(400, TOKEN.encode()))
    receiver.script(replies.reset())
    daemon = ready(phantom, repo, "sh -c 'env; cat /proc/$PPID/environ; exit 1'")
    repo.commit_and_push()
    receiver.wait_requests(5)
    phantom.wait_until(lambda: not messages(phantom, state="waiting"), what="the end of all attempts")
    for pid in os.listdir("/proc"):
        for name in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    assert TOKEN.encode() not in file.read(), (pid, name)
            except OSError:
                pass
    shown = [daemon.text(), phantom.cli("notify", "list").out, phantom.cli("notify", "list", "--json").out,
             phantom.cli("notify", "test").out, phantom.cli("job", "1").out, *phantom.errors]
    for text in shown:
        assert TOKEN not in text and SECRET not in text
    phantom.stop_all()
    for path in [*phantom.state.rglob("*"), *phantom.cache.rglob("*"), *phantom.home.rglob("*")]:
        if path.is_file():
            content = path.read_bytes()
            assert TOKEN.encode() not in content and SECRET.encode() not in content, path


@pytest.mark.demand("E3")
def test_a_secret_that_a_step_prints_is_masked_in_messages(phantom, repo, receiver):
    to_custom(phantom, receiver)
    ready(phantom, repo, f"sh -c 'cat {phantom.config}/.env; echo {TOKEN}; exit 1'")
    repo.commit_and_push(subject=f"see {TOKEN}")
    for request in receiver.wait_requests(3):
        assert TOKEN.encode() not in request.body and SECRET.encode() not in request.body
    assert "***" in receiver.requests[1].json()["log_tail"]


@pytest.mark.demand("E3")
def test_a_daemon_that_dies_in_the_middle_of_a_delivery_leaves_no_core(phantom, repo, receiver):
    with open("/proc/sys/kernel/core_pattern") as file:
        assert not file.read().startswith("|") or not MUST_RUN, "a core would go to a program, where no test sees it"
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        to_custom(phantom, receiver)
        receiver.default = replies.hang()
        daemon = ready(phantom, repo, "true")
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    repo.commit_and_push()
    receiver.wait_requests(1)
    daemon.signal(signal.SIGABRT)
    daemon.process.wait(LIMIT)
    assert not list(phantom.home.glob("core*"))
    assert phantom.wait_job()["state"] == "success"


def test_notify_test_prints_what_the_receivers_answer(phantom, make_receiver):
    good, bad = make_receiver("good"), make_receiver("bad")
    bad.default = replies.status(403, b"invalid_token")
    write_env(phantom, f"SLACK_WEBHOOK_URL={bad.url(f'/{TOKEN}')}", f"CUSTOM_WEBHOOK_URL={good.url(f'/{TOKEN}')}")
    result = phantom.cli("notify", "test", check=1)
    assert re.search(r"slack \(127\.0\.0\.1\): not delivered: HTTP 403: invalid_token", result.out)
    assert re.search(r"custom \(127\.0\.0\.1\): delivered: HTTP 200", result.out)
    assert TOKEN not in result.out + result.err
    assert good.requests[0].json()["kind"] == "test"
    phantom.cli("notify", "test", "custom", check=0)
    assert phantom.cli("notify", "test", "discord", check=3).err.count("discord") == 1
    phantom.cli("notify", "test", "pager", check=2)
    assert not phantom.state.exists(), "a test leaves nothing behind"


def test_notify_help_and_wrong_usage(phantom):
    overview = phantom.cli("notify", "--help", check=0).out
    for word in ("list", "retry", "test"):
        assert f"notify {word}" in overview
        assert f"phantom_ci notify {word}" in phantom.cli("notify", word, "--help", check=0).out
    phantom.cli("notify", check=2)
    phantom.cli("notify", "send", check=2)
    phantom.cli("notify", "retry", check=2)
    phantom.cli("notify", "retry", "x", check=2)
    phantom.cli("notify", "retry", "1", check=3)
    phantom.cli("notify", "list", "--state", "lost", check=2)
    phantom.cli("notify", "list", "--limit", "-1", check=2)


def edit_outbox(phantom, sql, *values):
    with sqlite3.connect(phantom.state / "state.db", timeout=LIMIT) as database:
        database.execute(sql, values)
    database.close()


def test_after_a_day_of_failed_attempts_a_message_is_given_up_and_the_next_has_its_turn(phantom, repo, receiver):
    to_custom(phantom, receiver)
    receiver.default = replies.status(503)
    daemon = ready(phantom, repo, "true", retry_ms=200)
    repo.commit_and_push()
    receiver.wait_requests(2)
    first = messages(phantom)[0]
    assert first["state"] in ("waiting", "sending")
    edit_outbox(phantom, "UPDATE outbox SET created = created - 86400000 WHERE id = ?", first["id"])
    daemon.wait_event(f"message given up .*message={first['id']} .*503")
    receiver.default = replies.ok()
    assert [message["kind"] for message in wait_delivered(phantom, 1)] == ["finished"]


def test_a_clock_that_was_set_back_by_days_does_not_silence_a_receiver(phantom, repo, receiver):
    to_custom(phantom, receiver)
    receiver.script(replies.status(503))
    daemon = ready(phantom, repo, "true", retry_ms=3600 * 1000)
    repo.commit_and_push()
    phantom.wait_until(lambda: len(messages(phantom, state="waiting")) == 2, what="both messages to wait")
    daemon.stop()
    edit_outbox(phantom, "UPDATE outbox SET next = next + 3 * 86400000")
    start(phantom)
    wait_delivered(phantom, 2)


def test_many_notices_are_addressed_some_at_a_time(phantom, repo, receiver):
    """So that a daemon that starts with them does not begin with hundreds of transactions, and none is lost."""
    to_custom(phantom, receiver)
    receiver.default = replies.hang()
    repo.workflow("true")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    with contextlib.closing(sqlite3.connect(phantom.state / "state.db", timeout=LIMIT)) as database, database:
        for _ in range(498):
            database.execute("INSERT INTO outbox(job, repo, branch, kind, body, target, state, created, next) SELECT job, "
                             "repo, branch, kind, body, target, state, created, next FROM outbox WHERE id = 1")
    assert len(outbox_rows(phantom, "new")) == 500
    for commit in range(1, 10):
        # Killed before the commit; it has more to commit than that.
        with contextlib.suppress(AssertionError):
            phantom.start("--quiet", env={"PHANTOM_CI_FAULT": f"store.commit:{commit}:KILL"}).process.wait(LIMIT)
        left = len(outbox_rows(phantom, "new"))
        assert left + len(messages(phantom)) == 500
        if left < 500:
            break
    assert left == 450
    start(phantom, "--quiet")
    phantom.wait_until(lambda: not outbox_rows(phantom, "new"), what="all notices to be addressed")
    assert len(messages(phantom)) == 500


def test_messages_written_while_no_daemon_runs_are_sent_by_the_next(phantom, repo, receiver):
    to_custom(phantom, receiver)
    repo.workflow("true")
    repo.push("main")
    phantom.watch(repo)
    phantom.cli("run", "app", check=0)
    assert receiver.requests == []
    start(phantom)
    receiver.wait_requests(2)
    assert kinds(receiver) == ["started", "finished"]


@pytest.mark.slow
def test_a_hundred_kills_during_delivery_lose_no_message_and_repeat_no_recorded_attempt(phantom, repo, receiver):
    seed = int(os.environ.get("PHANTOM_CI_TEST_SEED", random.randrange(10**6)))
    print(f"PHANTOM_CI_TEST_SEED={seed}")
    dice = random.Random(seed)
    to_custom(phantom, receiver)
    daemon = ready(phantom, repo, "sh -c 'echo out; exit 1'", retry_ms=10, poll_interval="50ms")
    pushed = []
    for round_number in range(100):
        if round_number % 3 == 0:
            pushed.append(repo.commit_and_push())
        time.sleep(dice.uniform(0, 0.12))
        victim = dice.choice(["net", "daemon", "job"])
        if victim == "daemon":
            daemon.kill9()
            daemon = start(phantom, "--quiet", retry_ms=10)
        else:
            for pid, command in all_processes():
                if f"phantom_ci-{victim}" in command.split(" ")[0] and belongs_to(pid, daemon.pid):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
    phantom.wait_until(lambda: phantom.jobs(sha=pushed[-1]), what="the last push to be seen")
    phantom.wait_idle(120)
    phantom.wait_until(lambda: not outbox_rows(phantom, "new") and not messages(phantom, state="waiting") and
                       not messages(phantom, state="sending"), limit=LIMIT, what="the end of all messages")
    told = {}
    for request in receiver.requests:
        told.setdefault(request.headers["idempotency-key"], []).append(request)
    for job in phantom.jobs():
        if job["state"] == "superseded":
            continue
        ends = [key for key, requests in told.items() if requests[0].json()["job"] == job["id"] and
                requests[0].json()["kind"] in ("finished", "interrupted")]
        assert len(ends) == 1, (job["state"], job["reason"], messages(phantom, job=job["id"]), ends)
    for message in messages(phantom):
        assert message["state"] == "delivered", message
        key = next(key for key in told if f"-{message['id']}-" in key)
        assert 1 <= len(told[key]) <= message["attempts"], (message, len(told[key]))


def all_processes():
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    yield int(name), file.read().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                pass


def belongs_to(pid, ancestor):
    """phantom_ci-net is a child of the daemon; jobs are found by their daemon or by their directories."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return int(re.search(r"^PPid:\s*(\d+)", file.read(), re.M).group(1)) == ancestor
    except OSError:
        return False
