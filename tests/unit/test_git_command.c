#include "git_fixture.h"

#include <signal.h>

#include "base/clock.h"
#include "git/hostkey.h"
#include "git/settings.h"

static const struct git_remote https = {.url = "https://example.org/me/app"};

static void assert_has(char **environment, const char *line)
{
    if (!g_strv_contains((const char *const *)environment, line))
        g_error("not in the environment: %s", line);
}

static const char *config_value(char **environment, const char *key)
{
    int count = atoi(g_environ_getenv(environment, "GIT_CONFIG_COUNT"));
    const char *value = NULL;
    for (int i = 0; i < count; i++) {
        g_autofree char *key_name = g_strdup_printf("GIT_CONFIG_KEY_%d", i);
        g_autofree char *value_name = g_strdup_printf("GIT_CONFIG_VALUE_%d", i);
        if (g_strcmp0(g_environ_getenv(environment, key_name), key) == 0)
            value = g_environ_getenv(environment, value_name);
    }
    return value;
}

/* DEMAND S8, A12 */
static void test_environment_is_made_from_scratch(void)
{
    static const char *const hostile[] = {"GIT_DIR",
                                          "GIT_WORK_TREE",
                                          "GIT_INDEX_FILE",
                                          "GIT_OBJECT_DIRECTORY",
                                          "GIT_CONFIG",
                                          "GIT_CONFIG_GLOBAL",
                                          "GIT_CONFIG_SYSTEM",
                                          "GIT_CONFIG_KEY_0",
                                          "GIT_EXEC_PATH",
                                          "GIT_EXTERNAL_DIFF",
                                          "GIT_SSH",
                                          "GIT_PROXY_COMMAND",
                                          "GIT_TRACE",
                                          "GIT_TEMPLATE_DIR",
                                          "GIT_NAMESPACE",
                                          "GIT_CEILING_DIRECTORIES",
                                          "GIT_PAGER",
                                          "GIT_EDITOR",
                                          "EDITOR",
                                          "PAGER",
                                          "LD_PRELOAD_X",
                                          "LD_LIBRARY_PATH_X",
                                          "DISCORD_WEBHOOK_URL",
                                          "BASH_ENV",
                                          "ENV",
                                          "PERL5LIB",
                                          "PYTHONPATH",
                                          "IFS",
                                          "GIT_PROTOCOL_FROM_USER",
                                          "GIT_ALTERNATE_OBJECT_DIRECTORIES"};
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++)
        g_setenv(hostile[i], "hostile", TRUE);
    g_setenv("GIT_CONFIG_COUNT", "1", TRUE);
    g_setenv("GIT_ALLOW_PROTOCOL", "ext:https", TRUE);
    g_setenv("GIT_SSH_COMMAND", "touch x", TRUE);
    g_setenv("https_proxy", "http://proxy:3128", TRUE);
    GError *error = NULL;
    g_auto(GStrv) remote = git_environment_remote(&https, &error);
    g_assert_no_error(error);
    g_auto(GStrv) local = git_environment_local("/x/index");
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
        g_assert_cmpstr(g_environ_getenv(remote, hostile[i]), !=, "hostile");
        g_assert_cmpstr(g_environ_getenv(local, hostile[i]), !=, "hostile");
        g_unsetenv(hostile[i]);
    }
    assert_has(remote, "GIT_ALLOW_PROTOCOL=https");
    assert_has(remote, "GIT_TERMINAL_PROMPT=0");
    assert_has(remote, "GIT_ASKPASS=");
    assert_has(remote, "SSH_ASKPASS=");
    assert_has(remote, "SSH_ASKPASS_REQUIRE=never");
    assert_has(remote, "GIT_SSH_VARIANT=ssh");
    assert_has(remote, "LC_ALL=C");
    assert_has(remote, "https_proxy=http://proxy:3128");
    g_assert_cmpstr(config_value(remote, "core.hooksPath"), ==, "/dev/null");
    g_assert_cmpstr(config_value(remote, "core.fsmonitor"), ==, "false");
    g_assert_cmpstr(config_value(remote, "http.lowSpeedTime"), ==, "30");
    assert_has(remote, "GIT_NO_LAZY_FETCH=1");
    g_assert_cmpstr(config_value(remote, "fetch.fsckObjects"), ==, "true");
    g_assert_cmpstr(config_value(local, "core.protectHFS"), ==, "true");
    g_assert_cmpstr(config_value(local, "core.protectNTFS"), ==, "true");
    assert_has(local, "GIT_CONFIG_GLOBAL=/dev/null");
    assert_has(local, "GIT_CONFIG_NOSYSTEM=1");
    assert_has(local, "GIT_INDEX_FILE=/x/index");
    assert_has(local, "GIT_ALLOW_PROTOCOL=none");
    g_assert_null(g_environ_getenv(local, "https_proxy"));
    g_assert_cmpstr(config_value(local, "core.fsmonitor"), ==, "false");
    g_unsetenv("GIT_CONFIG_COUNT");
    g_unsetenv("GIT_ALLOW_PROTOCOL");
    g_unsetenv("GIT_SSH_COMMAND");
    g_unsetenv("https_proxy");
}

/* DEMAND O1, S9 */
static void test_ssh_command(void)
{
    struct git_remote remote = {.url = "git@host:app", .ssh_key_path = "/k/50% it's $(touch x)=*"};
    g_auto(GStrv) environment = git_environment_remote(&remote, NULL);
    const char *command = g_environ_getenv(environment, "GIT_SSH_COMMAND");
    assert_contains(command, "-o BatchMode=yes");
    assert_contains(command, "-o StrictHostKeyChecking=yes");
    assert_contains(command, "-o IdentitiesOnly=yes");
    assert_contains(command, "-o ForwardAgent=no");
    assert_contains(command, "-o ClearAllForwardings=yes");
    g_auto(GStrv) words = NULL;
    g_assert_true(g_shell_parse_argv(command, NULL, &words, NULL));
    g_assert_true(g_strv_contains((const char *const *)words, "/k/50%% it's $(touch x)=*"));
    assert_has(environment, "GIT_ALLOW_PROTOCOL=ssh");
    remote.url = "-x";
    GError *error = NULL;
    g_assert_null(git_environment_remote(&remote, &error));
    assert_error_code(error, ERROR_INVALID);
    g_clear_error(&error);
}

static void write_config(struct fixture *fixture, const char *text)
{
    write_text(fixture->root, ".gitconfig", text);
}

static void test_redirects_that_take_a_header_along(void)
{
    static const struct {
        const char *config, *url;
        bool leak;
    } cases[] = {
        {"", "https://example.org/x", false},
        {"[http]\nextraHeader = X: y\n", "https://example.org/x", true},
        {"[http]\nextraHeader = X: y\n", "ssh://example.org/x", false},
        {"[http]\nextraHeader = X: y\nextraHeader =\n", "https://example.org/x", false},
        {"[http]\nextraHeader = X: y\nfollowRedirects = true\n", "https://example.org/x", false},
        {"[http \"https://example.org/\"]\nextraHeader = X: y\n", "https://example.org/x", true},
        {"[http \"https://example.org/\"]\nextraHeader = X: y\n", "https://example.com/x", false},
        {"[http", "https://example.org/x", true},
    };
    struct fixture fixture;
    fixture_init(&fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        write_config(&fixture, cases[i].config);
        struct git_settings *settings = git_settings_new();
        git_settings_refresh(settings);
        g_assert_cmpint(git_redirects_leak(cases[i].url), ==, cases[i].leak);
        g_assert_cmpint(git_settings_redirects_leak(settings, cases[i].url), ==, cases[i].leak);
        git_settings_free(settings);
    }
    fixture_clear(&fixture);
}

static void test_executable(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    char *old = fake_program(&fixture, "git", "echo fake");
    g_autofree char *bin = path_in(fixture.root, "bin/git");
    g_assert_cmpstr(git_executable(NULL), ==, bin);
    g_setenv("PATH", "relative:.:", TRUE);
    g_assert_cmpint(g_chdir(fixture.root), ==, 0);
    GError *error = NULL;
    const char *found = git_executable(&error);
    g_assert_true(!found || found[0] == '/');
    g_clear_error(&error);
    g_setenv("PATH", "/nonexistent", TRUE);
    g_assert_null(git_executable(&error));
    assert_error_code(error, ERROR_NOT_FOUND);
    assert_contains(error->message, "install");
    g_clear_error(&error);
    restore_path(old);
    g_assert_cmpint(g_chdir("/"), ==, 0);
    fixture_clear(&fixture);
}

static void run_fake(const char *script, const struct git_limits *limits, int code,
                     const char *part)
{
    struct fixture fixture;
    fixture_init(&fixture);
    char *old = fake_program(&fixture, "git", script);
    static const char *const arguments[] = {"-c", "a.b=c", "fetch", "x", NULL};
    g_auto(GStrv) environment = git_environment_local(NULL);
    struct spawn_result result = {0};
    GError *error = NULL;
    bool ok = git_run(arguments, (const char *const *)environment, limits, &result, &error);
    if (code < 0) {
        g_assert_no_error(error);
        g_assert_true(ok);
        assert_contains(result.out, part);
    } else {
        g_assert_false(ok);
        assert_error_code(error, code);
        assert_contains(error->message, part);
        g_clear_error(&error);
    }
    spawn_result_clear(&result);
    restore_path(old);
    fixture_clear(&fixture);
}

static void test_run(void)
{
    run_fake("echo \"$@\"", NULL, -1, "-c a.b=c fetch x");
    run_fake("echo 'fatal: odd thing' >&2; exit 128", NULL, ERROR_REMOTE,
             "git fetch: fatal: odd thing");
    run_fake("exit 3", NULL, ERROR_REMOTE, "exit 3");
    run_fake("kill -9 $$", NULL, ERROR_SYSTEM, "SIGKILL");
    run_fake("echo 'fatal: write error: No space left on device' >&2; exit 128", NULL,
             ERROR_NO_SPACE, "disk is full");
}

/* DEMAND A1: a git that sleeps for ever, with a child that does. */
static void test_limits(void)
{
    struct git_limits limits = {.timeout_ms = 200, .cancel_fd = -1};
    int64_t start = clock_monotonic_ms();
    run_fake("sleep 1000 & sleep 1000", &limits, ERROR_LIMIT, "git fetch");
    int ends[2];
    g_assert_cmpint(pipe(ends), ==, 0);
    g_assert_cmpint(write(ends[1], "x", 1), ==, 1);
    limits = (struct git_limits){.timeout_ms = -1, .cancel_fd = ends[0]};
    run_fake("sleep 1000", &limits, ERROR_CANCELED, "git fetch");
    close(ends[0]);
    close(ends[1]);
    g_assert_cmpint(clock_monotonic_ms() - start, <, 20000);
}

/* ---- explanations ---- */

static void test_explanations(void)
{
    static const char rest[] =
        "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct "
        "access rights\nand the repository exists.\n";
    static const struct {
        const char *text, *words, *hint;
    } cases[] = {
        {"root@127.0.0.1: Permission denied (publickey).\r\n", "Permission denied (publickey)",
         "ssh_key_path"},
        {"ssh: connect to host 127.0.0.1 port 18923: Connection refused\r\n",
         "port 18923: Connection refused", "nothing listens"},
        {"ssh: Could not resolve hostname nosuch.invalid: Name or service not known\r\n",
         "nosuch.invalid", "name of the host"},
        {"fatal: unable to access 'https://nosuch.invalid/x/': Could not resolve host: "
         "nosuch.invalid\n",
         "nosuch.invalid", "name of the host"},
        {"fatal: unable to access 'http://127.0.0.1:1/x/': Failed to connect to 127.0.0.1 port 1 "
         "after 0 ms: Couldn't connect to server\n",
         "Failed to connect", "nothing listens"},
        {"fatal: could not read Username for 'http://127.0.0.1:18080': terminal prompts disabled\n",
         "could not read Username", "credential helper"},
        {"remote: Invalid username or password.\nfatal: Authentication failed for 'https://h/x/'\n",
         "Authentication failed", "refuses the stored"},
        {"fatal: unable to access 'https://h/x/': server certificate verification failed. CAfile: "
         "/x CRLfile: none\n",
         "verification failed", "CA"},
        {"fatal: unable to access 'http://h/x/': The requested URL returned error: 429\n", "429",
         "poll_interval"},
        {"remote: slow down\nfatal: unable to access 'http://h/x/': The requested URL returned "
         "error: 503\n",
         "503", ""},
        {"fatal: repository 'http://h/x/' not found\n", "not found", "check the path"},
        {"fatal: '/x' does not appear to be a git repository\n", "'/x' does not appear",
         "check the path"},
        {"ERROR: Repository not found.\n", "Repository not found", "account"},
        {"fatal: unable to access 'http://h/x/': Empty reply from server\n", "Empty reply", ""},
        {"fatal: unable to access 'http://h/x/': Operation too slow. Less than 1 bytes/sec "
         "transferred the last 2 seconds\n",
         "too slow", "stopped sending"},
        {"fatal: detected dubious ownership in repository at '/x'\nTo add an exception for this "
         "directory, call:\n\n\tgit config --global --add safe.directory /x\n",
         "dubious ownership", "safe.directory"},
        {"Permissions 0644 for '/k' are too open.\r\n", "are too open", "chmod 600"},
        {"fatal: transport 'ext' not allowed\n", "'ext' not allowed", "insteadOf"},
        {"error: cannot run ssh: No such file or directory\nfatal: unable to fork\n",
         "cannot run ssh", "install"},
        {"fatal: couldn't find remote ref refs/heads/x\n", "refs/heads/x", "branch does not exist"},
        {"fatal: unknown repository extension found:\n\trefstorage\n",
         "unknown repository extension found: refstorage", "2.45 or newer"},
        {"fatal: unknown repository extensions found:\n\tnoop2\n\trefstorage\n",
         "extensions found: noop2 refstorage", "2.45"},
        {"fatal: unknown repository extension found:\n\tnewer\n", "found: newer", "too old"},
        {"fatal: something new\n", "something new", ""},
        {"Cloning into 'x'...\nremote: Counting objects: 50% (1/2)\rremote: Counting objects: 100% "
         "(2/2)\rfatal: early EOF\n",
         "fatal: early EOF", ""},
        {"", "Could not read from remote", ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat(cases[i].text, rest, NULL);
        g_autofree char *words = git_explain_failure(text, &https);
        assert_contains(words, cases[i].words);
        assert_contains(words, cases[i].hint);
        g_assert_null(strchr(words, '\n'));
        g_assert_null(strstr(words, "correct access rights"));
        g_assert_null(strstr(words, "Counting"));
        g_assert_cmpuint(strlen(words), <=, 400);
    }
    g_autofree char *nothing = git_explain_failure(NULL, NULL);
    g_assert_cmpstr(nothing, ==, "");
}

static void test_explanation_is_safe(void)
{
    g_autofree char *escaped = git_explain_failure("remote: \x1b]0;owned\x07\x1b[2J\n", NULL);
    g_assert_null(strchr(escaped, '\x1b'));
    g_autofree char *secret =
        git_explain_failure("fatal: unable to access 'https://me:tok@n@h/x/': odd\n", NULL);
    g_assert_null(strstr(secret, "tok"));
    assert_contains(secret, "https://h/x/");
    GString *flood = g_string_new(NULL);
    for (int i = 0; i < 500; i++)
        g_string_append(flood, "error: \xc3\xa4\xc3\xa4\xc3\xa4 line\n");
    g_autofree char *cut = git_explain_failure(flood->str, NULL);
    g_assert_cmpuint(strlen(cut), <=, 400);
    g_assert_true(g_utf8_validate(cut, -1, NULL));
    g_assert_null(strchr(cut, '\\'));
    g_string_free(flood, TRUE);
}

/* ---- host keys ---- */

static const char key_line[] =
    "[127.0.0.1]:18922 ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIPjVmT6f6V04v9S8rPIzdPszLQtXVfs7NNpoY3PScDh2\n";

/* DEMAND A13 */
static void test_changed_host_key(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *text = g_strconcat("# comment\n", key_line, NULL);
    write_text(fixture.root, "known_hosts", text);
    g_autofree char *file = path_in(fixture.root, "known_hosts");
    g_autofree char *known = hostkey_fingerprint_of_line(file, 2);
    const char *argv[] = {"ssh-keygen", "-lf", file, NULL};
    g_autofree char *real = run_in("/", argv, NULL);
    g_assert_nonnull(known);
    assert_contains(real, known);
    g_assert_null(hostkey_fingerprint_of_line(file, 1));
    g_assert_null(hostkey_fingerprint_of_line(file, 0));
    g_assert_null(hostkey_fingerprint_of_line(file, 99));
    g_assert_null(hostkey_fingerprint_of_line("/nonexistent", 1));
    g_autofree char *said = g_strdup_printf(
        "@@@@@@@@@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     "
        "@\r\n@@@@@@@@\r\n"
        "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r\n"
        "The fingerprint for the ED25519 key sent by the remote host is\n"
        "SHA256:IuLaEQgFcXT7pAHTxGZlFJksm3z1bAf0ouUhT4eqtAw.\r\n"
        "Please contact your system administrator.\r\n"
        "Add correct host key in %s to get rid of this message.\r\n"
        "Offending ED25519 key in %s:2\r\n  remove with:\r\n  ssh-keygen -f \"%s\" -R "
        "\"[127.0.0.1]:18922\"\r\n"
        "Host key for [127.0.0.1]:18922 has changed and you have requested strict checking.\r\n"
        "Host key verification failed.\r\nfatal: Could not read from remote repository.\n",
        file, file, file);
    g_autofree char *words = git_explain_failure(said, NULL);
    assert_contains(words, "[127.0.0.1]:18922");
    assert_contains(words, known);
    assert_contains(words, "SHA256:IuLaEQgFcXT7pAHTxGZlFJksm3z1bAf0ouUhT4eqtAw");
    assert_contains(words, "ssh-keygen -R '[127.0.0.1]:18922'");
    g_assert_cmpuint(strlen(words), <=, 400);
    fixture_clear(&fixture);
}

static void test_kinds_of_failures(void)
{
    static const struct {
        const char *text;
        enum git_failure failure;
    } cases[] = {
        {"ssh: connect to host h port 22: Connection refused\r\n", GIT_FAILURE_UNREACHABLE},
        {"ssh: connect to host h port 22: Connection timed out\r\n", GIT_FAILURE_UNREACHABLE},
        {"ssh: connect to host h port 22: No route to host\r\n", GIT_FAILURE_UNREACHABLE},
        {"ssh: Could not resolve hostname h: Name or service not known\r\n",
         GIT_FAILURE_UNREACHABLE},
        {"kex_exchange_identification: Connection closed by remote host\r\n"
         "Connection closed by 127.0.0.1 port 22\r\n",
         GIT_FAILURE_UNREACHABLE},
        {"kex_exchange_identification: read: Connection reset by peer\r\n"
         "Connection reset by 127.0.0.1 port 22\r\n",
         GIT_FAILURE_UNREACHABLE},
        {"No ED25519 host key is known for h and you have requested strict checking.\r\n"
         "Host key verification failed.\r\n",
         GIT_FAILURE_UNTRUSTED},
        {"Host key for h has changed and you have requested strict checking.\r\n"
         "Host key verification failed.\r\n",
         GIT_FAILURE_UNTRUSTED},
        {"fatal: '/x' does not appear to be a git repository\n", GIT_FAILURE_ABSENT},
        {"ERROR: Repository not found.\n", GIT_FAILURE_ABSENT},
        {"me@h: Permission denied (publickey).\r\n", GIT_FAILURE_OTHER},
        {"fatal: something new\n", GIT_FAILURE_OTHER},
        {"", GIT_FAILURE_OTHER},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (git_failure_of(cases[i].text) != cases[i].failure) {
            g_error("another kind of failure: %s", cases[i].text);
        }
    }
}

static void test_unknown_host_key(void)
{
    struct git_remote remote = {.url = "ssh://git@127.0.0.1:18922/x"};
    g_autofree char *words = git_explain_failure(
        "No ED25519 host key is known for [127.0.0.1]:18922 and you have requested strict "
        "checking.\r\n"
        "Host key verification failed.\r\nfatal: Could not read from remote repository.\n",
        &remote);
    assert_contains(words, "host key of [127.0.0.1]:18922 is not known");
    assert_contains(words, "ssh -o StrictHostKeyChecking=accept-new");
    assert_contains(words, "-p 18922 git@127.0.0.1");
}

static void test_offered_host_key(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *keys = path_in(fixture.root, "keys");
    write_text(fixture.root, "keys", key_line);
    g_autofree char *script = g_strdup_printf("echo \"# comment $*\"; cat '%s'", keys);
    char *old = fake_program(&fixture, "ssh-keyscan", script);
    struct url url;
    g_assert_true(url_parse("ssh://git@127.0.0.1:18922/x", &url, NULL));
    GError *error = NULL;
    g_autofree char *offered = hostkey_offered(&url, 5000, &error);
    g_assert_no_error(error);
    g_assert_true(g_str_has_prefix(offered, "ED25519 SHA256:"));
    restore_path(old);
    old = fake_program(&fixture, "ssh-keyscan", "exit 0");
    g_assert_null(hostkey_offered(&url, 5000, &error));
    assert_error_code(error, ERROR_REMOTE);
    assert_contains(error->message, "18922");
    g_clear_error(&error);
    restore_path(old);
    url_clear(&url);
    g_assert_true(url_parse("https://h/x", &url, NULL));
    g_assert_null(hostkey_offered(&url, 5000, &error));
    assert_error_code(error, ERROR_INVALID);
    g_clear_error(&error);
    url_clear(&url);
    fixture_clear(&fixture);
}

static void test_known_host(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_autofree char *file = path_in(fixture.root, "known");
    g_autofree char *script =
        g_strdup_printf("echo 'hostname 127.0.0.1'; echo 'port 18922'; echo 'userknownhostsfile "
                        "/nonexistent %s'",
                        file);
    char *old = fake_program(&fixture, "ssh", script);
    struct url url;
    g_assert_true(url_parse("ssh://git@alias/x", &url, NULL));
    GError *error = NULL;
    bool known = true;
    g_assert_true(hostkey_is_known(&url, &known, &error));
    g_assert_no_error(error);
    g_assert_false(known);
    write_text(fixture.root, "known", key_line);
    g_assert_true(hostkey_is_known(&url, &known, &error));
    g_assert_no_error(error);
    g_assert_true(known);
    g_autofree char *command = hostkey_accept_command(&url);
    g_assert_cmpstr(command, ==,
                    "ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes -T git@alias exit");
    url_clear(&url);
    restore_path(old);
    fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/git_command/environment__S8_A12_hostile_variables__is_made_from_scratch",
                    test_environment_is_made_from_scratch);
    g_test_add_func("/git_command/ssh__O1_S9_key_with_quotes__checks_host_keys", test_ssh_command);
    g_test_add_func("/git_settings/redirects__a_header_would_go_along__leak",
                    test_redirects_that_take_a_header_along);
    g_test_add_func("/git_command/executable__path__is_absolute", test_executable);
    g_test_add_func("/git_command/run__outcomes__have_their_codes", test_run);
    g_test_add_func("/git_command/run__A1_time_and_cancel__kill_the_tree", test_limits);
    g_test_add_func("/git_explain/texts__of_git_and_ssh__have_hints", test_explanations);
    g_test_add_func("/git_explain/failures__of_each_kind__are_told_apart", test_kinds_of_failures);
    g_test_add_func("/git_explain/text__S21_hostile__is_escaped_and_bounded",
                    test_explanation_is_safe);
    g_test_add_func("/git_explain/host_key__A13_changed__names_both_fingerprints",
                    test_changed_host_key);
    g_test_add_func("/git_explain/host_key__S9_unknown__names_the_command", test_unknown_host_key);
    g_test_add_func("/git_hostkey/offered__keyscan__is_told_as_fingerprints",
                    test_offered_host_key);
    g_test_add_func("/git_hostkey/known__alias_of_ssh_config__counts", test_known_host);
    return g_test_run();
}
