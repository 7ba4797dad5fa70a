"""phantom_ci-net --looks over its pipes, at real servers: what it sees is what git sees."""
import os
import subprocess

import pytest

from env import receiver as replies
from env.looks import digest, look, ls_remote
from env.lookserver import FIXED_REFS, LookServer
from env.receiver import Proxy
from env.waiting import wait_until

RESULT = "application/x-git-upload-pack-result"
ALL = "refs/heads/*\nrefs/tags/*"


def answer(body=FIXED_REFS, kind=RESULT, headers=()):
    return replies.status(200, body, [("Content-Type", kind), *headers])


@pytest.fixture
def full(repo):
    """Branches, a light and an annotated tag, and refs that nobody asks for."""
    repo.commit_and_push({"a": "1"})
    repo.git("tag", "light")
    repo.commit_and_push({"a": "2"})
    repo.git("tag", "-a", "-m", "x", "v1")
    repo.push("release/1")
    repo.git("push", "-q", "origin", "light", "v1", "HEAD:refs/notes/x", "HEAD:refs/pull/1/head")
    return repo


def seen_by_git(server, kind="http", area="git", name="app.git"):
    """What the wanted refs should be: tags peeled."""
    refs = ls_remote(server.url(name, area, kind), env={"GIT_SSL_CAINFO": server.ca, "GIT_CONFIG_NOSYSTEM": "1",
                                                       "HOME": str(server.directory)})
    peeled = {name: refs.get(name + "^{}", object_id) for name, object_id in refs.items() if not name.endswith("^{}")}
    return {name: object_id for name, object_id in peeled.items() if name.startswith(("refs/heads/", "refs/tags/"))}


# ------------------------------------------------------------------------------------------------------------ the roads


@pytest.mark.parametrize("kind", ["http", "https", "h2"])
@pytest.mark.parametrize("area, road", [("git", "v2"), ("v0", "v0")])
def test_a_look_sees_what_git_sees(start_looks, look_server, full, kind, area, road):
    looks = start_looks(env={"GIT_SSL_CAINFO": look_server.ca})
    seen = looks.ask(look_server.url(area=area, kind=kind), wanted=ALL)
    assert (seen.outcome, seen.road, seen.location, seen.error) == ("refs", road, "", "")
    assert seen.refs == seen_by_git(look_server, kind, area)
    assert set(seen.refs) == {"refs/heads/main", "refs/heads/release/1", "refs/tags/light", "refs/tags/v1"}
    assert seen.digest == digest(seen.refs)


def test_only_what_is_wanted_is_told(looks, look_server, full):
    for area in ("git", "v0"):
        url = look_server.url(area=area)
        assert set(looks.ask(url, wanted="refs/heads/main").refs) == {"refs/heads/main"}
        assert set(looks.ask(url, wanted="refs/heads/rel*").refs) == {"refs/heads/release/1"}
        assert set(looks.ask(url, wanted="refs/heads/none\nrefs/tags/v?").refs) == {"refs/tags/v1"}


@pytest.mark.parametrize("area", ["git", "v0"])
def test_what_is_known_already_is_one_short_message(looks, look_server, full, area):
    url = look_server.url(area=area)
    first = looks.ask(url, wanted=ALL)
    again = looks.ask(url, wanted=ALL, known=first.digest, road=first.road)
    assert (again.outcome, again.digest, again.road, again.refs) == ("same", first.digest, first.road, None)
    full.commit_and_push({"a": "3"})
    changed = looks.ask(url, wanted=ALL, known=first.digest, road=first.road)
    assert changed.outcome == "refs" and changed.refs["refs/heads/main"] == full.head()
    full.delete("release/1")
    gone = looks.ask(url, wanted=ALL, known=changed.digest, road=first.road)
    assert gone.outcome == "refs" and "refs/heads/release/1" not in gone.refs


def test_a_known_road_costs_one_request(looks, look_server, full):
    assert looks.ask(look_server.url()).road == "v2"
    assert look_server.asked(1) == ["POST"], "even the first time"
    assert looks.ask(look_server.url(), road="v2").outcome == "refs"
    assert looks.ask(look_server.url(area="v0"), road="v0").outcome == "refs"
    assert looks.ask(look_server.url(), road="v2-asked").road == "v2-asked"
    assert look_server.asked(5) == ["POST", "POST", "GET", "GET", "POST"]


@pytest.fixture
def sha256(place, full):
    """Beside the repository of sha1 one of sha256."""
    bare = place / "remotes" / "new.git"
    subprocess.run(["git", "init", "-q", "--bare", "--object-format=sha256", "--initial-branch=main", bare], check=True)
    clone = place / "clones" / "new"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", "--initial-branch=main", clone], check=True)
    full.git("commit", "-q", "--allow-empty", "-m", "x", cwd=clone)
    full.git("push", "-q", str(bare), "HEAD:refs/heads/main", cwd=clone)
    return full.git("rev-parse", "HEAD", cwd=clone)


def test_a_repository_of_sha256_is_learned_and_then_costs_one_request(looks, look_server, sha256):
    url = look_server.url("new.git")
    first = looks.ask(url)
    assert (first.outcome, first.road, first.refs) == ("refs", "v2-sha256", {"refs/heads/main": sha256})
    assert len(sha256) == 64
    again = looks.ask(url, road="v2-sha256", known=first.digest)
    assert (again.outcome, again.road) == ("same", "v2-sha256")
    assert look_server.asked(4) == ["POST", "GET", "POST", "POST"]


def test_a_repository_of_sha256_at_a_server_of_version_0(looks, look_server, sha256):
    seen = looks.ask(look_server.url("new.git", "v0"))
    assert (seen.road, seen.refs) == ("v0", {"refs/heads/main": sha256})


@pytest.mark.parametrize("area, name, before, after", [
    ("git", "app.git", "v0", "v2"), ("v0", "app.git", "v2", "v0"), ("git", "app.git", "v2-sha256", "v2"),
    ("git", "new.git", "v2", "v2-sha256"), ("v0", "app.git", "v2-sha256", "v0"), ("v0", "app.git", "v2-asked", "v0"),
    ("git", "new.git", "v2-asked", "v2-asked"), ("git", "app.git", "git", "v2")])
def test_a_road_that_has_changed_is_learned_anew_within_the_look(looks, look_server, sha256, area, name, before, after):
    seen = looks.ask(look_server.url(name, area), road=before)
    assert (seen.outcome, seen.road) == ("refs", after)
    assert seen.refs == {"refs/heads/main": seen_by_git(look_server, area=area, name=name)["refs/heads/main"]}


def test_no_refs_are_believed_at_once_only_when_the_road_is_known(looks, look_server, full):
    """A server that knows nothing of version 2 might answer so."""
    first = looks.ask(look_server.url(), wanted="refs/heads/none")
    assert (first.outcome, first.refs, first.road) == ("refs", {}, "v2")
    assert look_server.asked(3) == ["POST", "GET", "POST"]
    again = looks.ask(look_server.url(), wanted="refs/heads/none", known=first.digest, road="v2")
    assert again.outcome == "same"
    assert look_server.asked(4)[3:] == ["POST"]


@pytest.mark.parametrize("area, road", [("git", "v2"), ("v0", "v0")])
def test_an_empty_repository_has_no_refs(looks, look_server, repo, area, road):
    seen = looks.ask(look_server.url(area=area), wanted=ALL)
    assert (seen.outcome, seen.refs, seen.road) == ("refs", {}, road)


def test_plain_files_of_a_repository_are_for_git_itself(looks, look_server, full):
    full.git("update-server-info", cwd=full.bare)
    seen = looks.ask(look_server.url(area="dumb"))
    assert (seen.outcome, seen.road) == ("use-git", "git") and "dumb HTTP" in seen.error
    assert ls_remote(look_server.url(area="dumb"), "refs/heads/main") == {"refs/heads/main": full.head()}


@pytest.mark.parametrize("road", ["", "v2", "v2-sha256", "v2-asked", "v0"])
def test_a_repository_that_is_not_there_is_absent(looks, look_server, road):
    seen = looks.ask(look_server.url("none.git"), road=road)
    assert (seen.outcome, seen.road, seen.digest) == ("absent", "", "")
    assert "404" in seen.error and seen.error.endswith("(check the path in the address)")


@pytest.mark.parametrize("ending", ["", "/", "//"])
def test_the_end_of_the_address_is_git_s_own(looks, receiver, ending):
    receiver.script(answer(), replies.status(404), answer(b"0000", "application/x-git-upload-pack-advertisement"))
    assert looks.ask(receiver.url("/a.b/c" + ending)).outcome == "refs"
    looks.ask(receiver.url("/a.b/c" + ending))
    base = "/a.b/c" + (ending or "/")
    assert [(r.method, r.path) for r in receiver.requests] == [
        ("POST", f"{base}git-upload-pack"), ("POST", f"{base}git-upload-pack"),
        ("GET", f"{base}info/refs?service=git-upload-pack")]


def test_what_is_sent_is_what_git_sends(looks, receiver):
    receiver.script(answer(), replies.status(404), replies.status(404))
    looks.ask(receiver.url("/a"), wanted="refs/heads/main\nrefs/tags/v*")
    looks.ask(receiver.url("/a"))
    post, _, get = receiver.requests
    assert post.body == (b"0014command=ls-refs\n00010009peel\n001fref-prefix refs/heads/main\n"
                         b"001bref-prefix refs/tags/v\n0000")
    agent = post.headers.pop("user-agent")
    assert agent.startswith("git/") and "phantom_ci" in agent
    assert post.headers == {
        "host": f"127.0.0.1:{receiver.port}", "accept-encoding": "gzip", "git-protocol": "version=2",
        "content-type": "application/x-git-upload-pack-request", "accept": RESULT, "content-length": str(len(post.body))}
    assert get.headers.pop("user-agent") == agent
    assert get.headers == {"host": f"127.0.0.1:{receiver.port}", "accept": "*/*", "accept-encoding": "gzip",
                           "git-protocol": "version=2", "pragma": "no-cache"}


# ---------------------------------------------------------------------------------------------------------- connections


@pytest.mark.parametrize("kind", ["http", "https", "h2"])
def test_connections_are_kept_for_the_next_looks(start_looks, look_server, kind):
    looks = start_looks(env={"GIT_SSL_CAINFO": look_server.ca})
    for _ in range(20):
        assert looks.ask(look_server.url(area="fixed", kind=kind), road="v2").outcome == "refs"
    assert len(set(look_server.connections(20))) <= 2, "the first look at a host does not keep its own"
    assert look_server.protocols() == {"HTTP/2.0" if kind == "h2" else "HTTP/1.1"}


def ask_many(looks, url, count, **options):
    looks.write(b"".join(look(f"m{i}", url, road="v2", timeout_ms=120_000, **options) for i in range(count)))
    answers = [looks.answer(f"m{i}", 120) for i in range(count)]
    assert {(seen.outcome, seen.error) for seen in answers} == {("refs", "")}


@pytest.mark.parametrize("kind, options, most", [("http", "", 16), ("https", "maxConnections=3", 3), ("h2", "", 1)])
def test_many_looks_at_one_host_share_few_connections(start_looks, look_server, kind, options, most):
    looks = start_looks(env={"GIT_SSL_CAINFO": look_server.ca})
    url = look_server.url(area="fixed", kind=kind)
    assert looks.ask(url, options=options).outcome == "refs"
    ask_many(looks, url, 400, options=options)
    assert 1 <= len(set(look_server.connections(401)[1:])) <= most + 1


@pytest.mark.parametrize("kind", ["http", "https", "h2"])
def test_a_server_that_ends_its_connections_costs_no_look(place, start_looks, repo, kind):
    """After so many requests nginx closes; over HTTP/2 with the next ones on their way already."""
    server = LookServer(place, place / "remotes", requests_a_connection=10)
    try:
        looks = start_looks(env={"GIT_SSL_CAINFO": server.ca})
        ask_many(looks, server.url(area="fixed", kind=kind), 1500)
        assert len(set(server.connections(1500))) >= 150
    finally:
        server.stop()


def test_at_most_so_many_looks_at_one_host_are_on_their_way(looks, receiver):
    gate = []

    def act(server, connection):
        wait_until(lambda: gate or server.stopped.is_set(), 60, "the gate")
        answer().act(server, connection)
    receiver.default = replies.Reply(act)
    for i in range(40):
        looks.send(i, receiver.url(f"/{i}"), road="v2", timeout_ms=100_000, options="maxConnections=5")
    receiver.wait_requests(5)
    looks.send("other", "http://127.0.0.1:1/x", timeout_ms=60_000)
    assert looks.answer("other").outcome == "unreachable", "others are not held up"
    assert len(receiver.requests) == 5
    gate.append(True)
    assert {looks.answer(i, 60).outcome for i in range(40)} == {"refs"}


# --------------------------------------------------------------------------------------------------------------- logins


def test_a_login_is_asked_for_and_used(start_looks, look_server, full):
    looks = start_looks(logins=True)
    url = look_server.url(area="auth")
    seen = looks.ask(url)
    assert (seen.outcome, seen.location) == ("login", "") and "credential helper" in seen.error
    looks.log_in(look_server.prefix(), "bot", "s3cret")
    seen = looks.ask(url)
    assert (seen.outcome, seen.refs) == ("refs", {"refs/heads/main": full.head()})
    looks.ask(look_server.url())
    assert look_server.asked(3) == ["POST 401", "POST", "POST"]


def test_a_refused_login_is_forgotten(start_looks, look_server, full):
    looks = start_looks(logins=True)
    url = look_server.url(area="auth")
    looks.log_in(look_server.prefix(), "bot", "wrong canary")
    seen = looks.ask(url)
    assert seen.outcome == "login-refused" and "canary" not in seen.error
    assert "mend the credential helper" in seen.error
    assert looks.ask(url).outcome == "login", "it is not tried again"
    looks.log_in(look_server.prefix(), "bot", "s3cret")
    assert looks.ask(url).outcome == "refs"
    looks.log_in(look_server.prefix())
    assert looks.ask(url).outcome == "login", "taken back"


def test_a_login_that_was_replaced_on_the_way_is_tried_at_once(start_looks, receiver):
    looks = start_looks(logins=True)

    def act(server, connection):
        looks.log_in(receiver.url("/"), "bot", "new")
        replies.status(401, headers=[("WWW-Authenticate", "Basic")]).act(server, connection)
    receiver.script(replies.Reply(act), answer())
    looks.log_in(receiver.url("/"), "bot", "old")
    assert looks.ask(receiver.url("/a"), road="v2").outcome == "refs"
    assert [r.headers["authorization"] for r in receiver.requests] == ["Basic Ym90Om9sZA==", "Basic Ym90Om5ldw=="]


def test_a_login_goes_to_its_own_place_only(start_looks, make_receiver):
    looks = start_looks(logins=True)
    one, other = make_receiver(), make_receiver()
    one.default = other.default = answer()
    looks.log_in(one.url("/team/"), "bot", "s3cret")
    for url in (one.url("/team/app"), one.url("/teams"), other.url("/team/app"), one.url("/team/app", host="localhost")):
        assert looks.ask(url).outcome == "refs"
    assert ["authorization" in r.headers for r in one.requests] == [True, False, False]
    assert "authorization" not in other.requests[0].headers


def test_the_user_in_the_address_chooses_the_login(start_looks, receiver):
    looks = start_looks(logins=True)
    receiver.default = answer()
    looks.log_in(receiver.url("/"), "ada", "a")
    looks.log_in(receiver.url("/"), "bob", "b")
    for user in ("ada@", "bob@", "eve@", ""):
        assert looks.ask(f"http://{user}127.0.0.1:{receiver.port}/x").outcome == "refs"
    assert [r.headers.get("authorization") for r in receiver.requests] == [
        "Basic YWRhOmE=", "Basic Ym9iOmI=", None, "Basic Ym9iOmI="]


def test_a_login_does_not_follow_to_another_host(start_looks, make_receiver):
    looks = start_looks(logins=True)
    one, other = make_receiver(), make_receiver()
    one.default = replies.redirect(other.url("/b/git-upload-pack"), 301)
    other.default = answer()
    looks.log_in(one.url("/"), "bot", "s3cret")
    options = "followRedirects=true\nextraHeader=X-Token: canary\nextraHeader=Authorization: Basic x"
    seen = looks.ask(one.url("/a"), options=options)
    assert (seen.outcome, seen.location) == ("refs", other.url("/b"))
    assert one.requests[0].headers["authorization"] == "Basic x", "the header of the configuration stands above"
    assert {"authorization", "x-token"} & set(other.requests[0].headers) == set()
    other.default = replies.status(401)
    seen = looks.ask(one.url("/a"), options=options)
    assert (seen.outcome, seen.location) == ("login", other.url("/b")), "where the login is wanted"


def test_a_kind_of_login_that_only_git_knows_is_for_git(looks, receiver):
    receiver.script(replies.status(401, headers=[("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", "Digest a")]),
                    replies.status(407), replies.status(401))
    assert looks.ask(receiver.url("/a")).outcome == "use-git"
    assert looks.ask(receiver.url("/a")).outcome == "use-git"
    assert looks.ask(receiver.url("/a")).outcome == "login", "nothing is said about the kind"
    receiver.script(replies.status(407))
    seen = looks.ask("https://127.0.0.1:1/a", options=f"proxy={receiver.url('')}")
    assert seen.outcome == "use-git" and "proxy" in seen.error and receiver.requests[-1].method == "CONNECT"


def test_logins_that_come_in_pieces_and_many_at_once_are_read(start_looks, receiver):
    from env.looks import LOGIN
    from env.net import message
    looks = start_looks(logins=True)
    receiver.default = answer()
    data = b"".join(message(LOGIN, receiver.url(f"/{i}/").encode(), b"bot", b"%d" % i) for i in range(100))
    for begin in range(0, len(data), 999):
        os.write(looks.login_pipe, data[begin:begin + 999])
    for i in range(100):
        assert looks.ask(receiver.url(f"/{i}/x")).outcome == "refs"
    assert len({r.headers["authorization"] for r in receiver.requests}) == 100


def test_the_end_of_the_login_pipe_is_the_end_of_logins_only(start_looks, look_server, full):
    looks = start_looks(logins=True)
    looks.log_in(look_server.prefix(), "bot", "s3cret")
    looks.close_logins()
    assert looks.ask(look_server.url(area="auth")).outcome == "refs"
    assert looks.ask(look_server.url(area="auth")).outcome == "refs"


# ------------------------------------------------------------------------------------------------------------ redirects


@pytest.mark.parametrize("area, told", [("moved", True), ("kept", True), ("away", False), ("twice", False)])
def test_a_redirect_on_the_same_host_is_followed_and_told_when_it_is_for_good(looks, look_server, full, area, told):
    seen = looks.ask(look_server.url(area=area))
    assert (seen.outcome, seen.refs, seen.road) == ("refs", {"refs/heads/main": full.head()}, "v2")
    assert seen.location == (look_server.url() if told else "")
    assert looks.ask(look_server.url(area=area), options="followRedirects=true").outcome == "refs"
    refused = looks.ask(look_server.url(area=area), options="followRedirects=false")
    assert (refused.outcome, refused.road) == ("moved", "")


def test_a_redirected_repository_of_another_kind_is_learned_at_its_new_place(looks, look_server, sha256):
    seen = looks.ask(look_server.url("new.git", "moved"))
    assert (seen.outcome, seen.road, seen.location) == ("refs", "v2-sha256", look_server.url("new.git"))


def test_a_redirect_to_another_host_is_told_and_followed_only_when_configured(looks, look_server, receiver, full):
    receiver.default = replies.redirect(look_server.url() + "/git-upload-pack", 301)
    seen = looks.ask(receiver.url("/old"))
    assert (seen.outcome, seen.location) == ("moved", look_server.url())
    assert look_server.url() in seen.error and "configure the new address" in seen.error
    for follow in ("true", "initial"):
        seen = looks.ask(receiver.url("/old"), options=f"followRedirects={follow}")
        assert (seen.outcome, seen.location) == ("refs", look_server.url())


# ------------------------------------------------------------------------------------------------ trust, proxy, headers


def test_an_untrusted_certificate_is_refused_and_each_way_to_trust_it_works(start_looks, look_server, full):
    url = look_server.url(kind="https")
    plain = start_looks()
    seen = plain.ask(url)
    assert seen.outcome == "untrusted" and "http.sslCAInfo" in seen.error
    assert plain.ask(url, options="sslVerify=false").outcome == "refs"
    assert plain.ask(url, options="sslVerify=true").outcome == "untrusted", "another connection"
    assert start_looks(env={"GIT_SSL_CAINFO": look_server.ca}).ask(url).outcome == "refs"
    assert start_looks(env={"GIT_SSL_NO_VERIFY": "1"}).ask(url).outcome == "refs"
    assert start_looks("--readable", look_server.ca).ask(url, options=f"sslCAInfo={look_server.ca}").outcome == "refs"


def test_a_directory_of_authorities_is_trusted(place, start_looks, look_server, full):
    certificates = place / "certificates"
    certificates.mkdir()
    name = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", look_server.ca], check=True,
                          stdout=subprocess.PIPE).stdout.decode().strip()
    (certificates / f"{name}.0").write_text(open(look_server.ca).read())
    url = look_server.url(kind="https")
    assert start_looks(env={"GIT_SSL_CAPATH": str(certificates)}).ask(url).outcome == "refs"
    looks = start_looks("--readable", str(certificates))
    assert looks.ask(url, options=f"sslCAPath={certificates}").outcome == "refs"


def test_a_certificate_of_another_name_is_refused(start_looks, make_receiver, look_server):
    elsewhere = make_receiver(tls=True, names="DNS:elsewhere.example")
    elsewhere.default = answer()
    looks = start_looks(env={"GIT_SSL_CAINFO": elsewhere.ca})
    assert looks.ask(elsewhere.url("/a")).outcome == "untrusted"
    assert looks.ask(elsewhere.url("/a"), options="sslVerify=false").outcome == "refs"
    plain = look_server.url().replace("http:", "https:")
    assert looks.ask(plain).outcome == "untrusted", "no TLS there at all"


def test_a_proxy_of_the_options_or_of_the_environment_is_used(start_looks, look_server, full):
    proxy = Proxy()
    try:
        url = look_server.url()
        assert start_looks().ask(url, options=f"proxy={proxy.url}").outcome == "refs"
        assert len(proxy.targets) == 1
        around = start_looks(env={"http_proxy": proxy.url, "GIT_SSL_CAINFO": look_server.ca, "https_proxy": proxy.url})
        assert around.ask(url).outcome == "refs"
        assert around.ask(look_server.url(kind="https")).outcome == "refs"
        assert [target.split()[0] for target in proxy.targets[1:]] == ["POST", "CONNECT"]
        assert around.ask(url, options="proxy=").outcome == "refs"
        assert around.ask(url, options="noProxy=127.0.0.1").outcome == "refs"
        assert len(proxy.targets) == 3
    finally:
        proxy.stop()


def test_headers_of_the_configuration_are_sent_and_a_user_agent_replaced(looks, look_server, full):
    options = "extraHeader=Authorization: Basic Ym90OnMzY3JldA==\nextraHeader=X-A: b\nuserAgent=mine/1"
    assert looks.ask(look_server.url(area="auth"), options=options).outcome == "refs"
    assert look_server.asked(1) == ["POST"]
    assert look_server.user_agents() == {"mine/1"}


def test_what_only_git_can_send_is_for_git(start_looks, look_server, full):
    looks = start_looks(env={"GIT_SSL_CERT": "/x.pem"})
    seen = looks.ask(look_server.url(), options="extraHeader=Host: other")
    assert (seen.outcome, seen.road) == ("use-git", "git")
    assert looks.ask(look_server.url(kind="https")).outcome == "use-git"
    assert looks.ask(look_server.url()).outcome == "refs", "no certificate is shown without TLS"


@pytest.mark.parametrize("options, word", [("nonsense=1", "nonsense"), ("sslVerify=maybe", "sslVerify"), ("x", "option")])
def test_an_option_that_is_not_known_is_refused(looks, receiver, options, word):
    seen = looks.ask(receiver.url("/a"), options=options)
    assert seen.outcome == "refused" and word in seen.error
    assert receiver.requests == []


@pytest.mark.parametrize("url", ["ssh://h/a", "git@h:a", "/srv/a", "https://u:canary@h/a", "https://h/a?canary",
                                 "file:///a", "http://h", ""])
def test_an_address_that_is_none_of_http_is_refused(looks, url):
    seen = looks.ask(url)
    assert seen.outcome == "refused" and "canary" not in seen.error
