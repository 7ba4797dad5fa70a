#include "config_fixture.h"

#include "config/repo_section.h"

#ifdef PHANTOM_CI_FAULTS
#define POLL_MINIMUM_MS 50
#define POLL_BELOW      "49ms"
#define POLL_MINIMUM    "50ms"
#else
#define POLL_MINIMUM_MS 1000
#define POLL_BELOW      "999ms"
#define POLL_MINIMUM    "1s"
#endif

static void test_two_keys(void)
{
    struct config *config =
        load_good("# mine\n[app]\npath = \"https://h/app\"\ntarget_branch = \"dev\"\n", NULL);
    const struct repo_config *repo = only_repo(config);
    g_assert_cmpstr(repo->name, ==, "app");
    g_assert_cmpstr(repo->url, ==, "https://h/app");
    assert_list(repo->target_branches, "dev");
    assert_list(repo->branch_exclusions, "");
    assert_list(repo->keep, "");
    assert_list(repo->env, "");
    g_assert_null(repo->ssh_key_path);
    g_assert_cmpint(repo->poll_interval_ms, ==, 60000);
    g_assert_cmpint(repo->timeout_ms, ==, 3600000);
    g_assert_cmpint(repo->grace_ms, ==, 10000);
    g_assert_cmpint(repo->fetch_timeout_ms, ==, 600000);
    g_assert_cmpint(repo->fetch_max_bytes, ==, (int64_t)16 << 30);
    g_assert_cmpint(repo->log_cap_bytes, ==, 64 * 1024 * 1024);
    g_assert_cmpint(repo->priority, ==, 0);
    g_assert_cmpint(repo->on_push, ==, ON_PUSH_QUEUE);
    g_assert_cmpint(repo->on_rewind, ==, ON_REWIND_RUN);
    g_assert_cmpint(repo->on_interrupt, ==, ON_INTERRUPT_FAIL);
    g_assert_cmpint(repo->notify, ==, NOTIFY_ALL);
    g_assert_false(repo->submodules);
    assert_list(repo->target_tags, "");
    assert_list(repo->schedule, "");
    assert_list(repo->paths, "");
    g_assert_false(repo->skip_ci);
    g_assert_cmpuint(repo->line, ==, 2);
    config_free(config);
    config = load_good("[app]\npath = \"/srv/app\"\n", NULL);
    assert_list(only_repo(config)->target_branches, "master");
    config_free(config);
}

static const char every_key[] =
    "[\"my app\"]\n"
    "path = \"~/app\"\n"
    "target_branch = [\"main\", \"release/*\"]\n"
    "branch_exclusions = \"dev, wip/*,\"\n"
    "target_tags = [\"v*\", \"latest\"]\n"
    "schedule = [\"0 3 * * *\", \"@weekly\"]\n"
    "paths = [\"src/**\", \"!docs/**\"]\n"
    "skip_ci = true\n"
    "ssh_key_path = \"~/.ssh/ci\"\n"
    "poll_interval = \"90s\"\n"
    "timeout = \"1h30m\"\n"
    "grace = \"0\"\n"
    "fetch_timeout = \"2m\"\n"
    "fetch_max = \"1G\"\n"
    "log_cap = \"64K\"\n"
    "priority = -5\n"
    "on_push = \"cancel_running\"\n"
    "on_rewind = \"block\"\n"
    "on_interrupt = \"rerun\"\n"
    "submodules = true\n"
    "keep = [\"target/\", \".cache/x\"]\n"
    "sandbox = \"strict\"\n"
    "writable = \"~/www\"\n"
    "readable = [\"/opt/a\", \"/opt/b\"]\n"
    "hidden = [\"/srv\"]\n"
    "executor = \"local\"\n"
    "workflow_approval = \"never\"\n"
    "notify = \"changes\"\n"
    "network = true\n"
    "env_file = [\"~/a.env\", \"credential:ci\"]\n"
    "secret_command = [\"~/bin/pass\", \"show\", \"~/ci\"]\n"
    "secret_timeout = \"5s\"\n"
    "env = { RUST_LOG = \"info\", N = 3, B = true, CI = \"yes\", E = \"\" }\n";

static void test_every_key(void)
{
    g_setenv("HOME", "/home/me", TRUE);
    struct config *config = load_good(every_key, NULL);
    const struct repo_config *repo = only_repo(config);
    g_assert_cmpstr(repo->name, ==, "my app");
    g_assert_cmpstr(repo->url, ==, "/home/me/app");
    assert_list(repo->target_branches, "main|release/*");
    assert_list(repo->branch_exclusions, "dev|wip/*");
    assert_list(repo->target_tags, "v*|latest");
    assert_list(repo->schedule, "0 3 * * *|@weekly");
    assert_list(repo->paths, "src/**|!docs/**");
    g_assert_true(repo->skip_ci);
    g_assert_cmpstr(repo->ssh_key_path, ==, "/home/me/.ssh/ci");
    g_assert_cmpint(repo->poll_interval_ms, ==, 90000);
    g_assert_cmpint(repo->timeout_ms, ==, 5400000);
    g_assert_cmpint(repo->grace_ms, ==, 0);
    g_assert_cmpint(repo->fetch_timeout_ms, ==, 120000);
    g_assert_cmpint(repo->fetch_max_bytes, ==, 1 << 30);
    g_assert_cmpint(repo->log_cap_bytes, ==, 65536);
    g_assert_cmpint(repo->priority, ==, -5);
    g_assert_cmpint(repo->on_push, ==, ON_PUSH_CANCEL_RUNNING);
    g_assert_cmpint(repo->on_rewind, ==, ON_REWIND_BLOCK);
    g_assert_cmpint(repo->on_interrupt, ==, ON_INTERRUPT_RERUN);
    g_assert_cmpint(repo->notify, ==, NOTIFY_CHANGES);
    g_assert_true(repo->submodules);
    assert_list(repo->keep, "target/|.cache/x");
    assert_list(repo->env, "RUST_LOG=info|N=3|B=true|CI=yes|E=");
    g_assert_cmpint(repo->sandbox, ==, SANDBOX_CHOICE_STRICT);
    g_assert_cmpint(repo->network, ==, NETWORK_ALLOWED);
    assert_list(repo->writable, "/home/me/www");
    assert_list(repo->readable, "/opt/a|/opt/b");
    assert_list(repo->hidden, "/srv");
    assert_list(repo->env_file, "/home/me/a.env|credential:ci");
    assert_list(repo->secret_command, "/home/me/bin/pass|show|~/ci");
    g_assert_cmpint(repo->secret_timeout_ms, ==, 5000);
    config_free(config);
}

/* The branches that a section asks for. DEMAND O6: every branch only when it is said. */
static void test_branches(void)
{
    static const struct {
        const char *lines, *wanted, *unwanted;
        bool named;
    } cases[] = {
        {"", "master", "main", true},
        {"target_branch = \"main\"", "main", "mainx", true},
        {"target_branch = \"\"", "anything/at-all", NULL, false},
        {"target_branch = \"\"\nbranch_exclusions = [\"dev\"]", "x", "dev", false},
        {"target_branch = [\"a\", \"b,c\"]", "b,c", "b", true},
        {"target_branch = [\"a\", \"release/*\"]", "release/1/2", "release", false},
        {"target_branch = \"*\"\nbranch_exclusions = \"wip/*\"", "x", "wip/y", false},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("[a]\npath = '/a'\n%s\n", cases[i].lines);
        struct config *config = load_good(text, NULL);
        const struct repo_config *repo = only_repo(config);
        g_assert_true(repo_config_wants_branch(repo, cases[i].wanted));
        g_assert_true(!cases[i].unwanted || !repo_config_wants_branch(repo, cases[i].unwanted));
        g_assert_cmpint(repo_config_has_named_branches(repo), ==, cases[i].named);
        config_free(config);
    }
}

static void test_selection(void)
{
    static const char *const texts[] = {
        "[a]\npath='/a'\n",
        "[a]\npath='/b'\n",
        "[a]\npath='/a'\ntarget_branch=''\n",
        "[a]\npath='/a'\ntarget_branch=['x','y']\n",
        "[a]\npath='/a'\ntarget_branch=['x']\nbranch_exclusions='y'\n",
    };
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        struct config *config = load_good(texts[i], NULL);
        g_assert_true(g_hash_table_add(seen, repo_config_selection(only_repo(config))));
        config_free(config);
    }
    struct config *config = load_good("[b]\npath='/a'\ntimeout='5s'\n", NULL);
    g_assert_false(g_hash_table_add(seen, repo_config_selection(only_repo(config))));
    config_free(config);
}

static void test_wrong_types(void)
{
    static const struct line lines[] = {
        {"target_branch = 7", "17",
         "\"target_branch\" must be a string or an array of strings, found an integer\n"},
        {"target_branch = ['a', 7]", "23",
         "\"target_branch\" must be a string, found an integer\n"},
        {"branch_exclusions = true", "21",
         "\"branch_exclusions\" must be a string or an array of strings, found true or false\n"},
        {"ssh_key_path = []", "16", "\"ssh_key_path\" must be a string, found an array\n"},
        {"poll_interval = 60", "17",
         "\"poll_interval\" must be a duration such as \"90s\", found an integer\n"},
        {"timeout = 1.5", "11",
         "\"timeout\" must be a duration such as \"90s\", found a number with a fraction\n"},
        {"log_cap = true", "11",
         "\"log_cap\" must be a size such as \"64M\", found true or false\n"},
        {"priority = \"1\"", "12", "\"priority\" must be an integer, found a string\n"},
        {"on_push = 1", "11", "\"on_push\" must be a string, found an integer\n"},
        {"submodules = \"yes\"", "14", "\"submodules\" must be true or false, found a string\n"},
        {"keep = {}", "8", "\"keep\" must be a string or an array of strings, found a table\n"},
        {"env = 'A=1'", "7",
         "\"env\" must be a table, for example { RUST_LOG = \"info\" }, found a string\n"},
        {"env = { A = [] }", "13",
         "\"env\" must be a table of strings, integers, true and false, found an array\n"},
        {"env = { A = 1.5 }", "13",
         "\"env\" must be a table of strings, integers, true and false, found a number with a "
         "fraction\n"},
        {"sandbox = 1", "11", "\"sandbox\" must be a string, found an integer\n"},
        {"network = 1", "11", "\"network\" must be true or false, found an integer\n"},
        {"writable = 1", "12",
         "\"writable\" must be a string or an array of strings, found an integer\n"},
        {"env_file = 1979-05-27", "12",
         "\"env_file\" must be a string or an array of strings, found a date or time\n"},
        {"secret_command = 7", "18",
         "\"secret_command\" must be an array of strings, found an integer\n"},
    };
    assert_lines(lines, G_N_ELEMENTS(lines));
}

static void test_wrong_values(void)
{
    static const struct line lines[] = {
        {"target_branch = []", "17",
         "\"target_branch\": it is an empty list; write \"\" to run every branch\n"},
        {"target_branch = ['']", "18",
         "\"target_branch\": it is empty; for every branch write \"\" alone, not in a list\n"},
        {"target_branch = '-x'", "17",
         "\"target_branch\": a branch name neither begins with '-' nor holds control characters\n"},
        {"target_branch = ['a', \"b\\n\"]", "23",
         "\"target_branch\": a branch name neither begins with '-' nor holds control characters\n"},
        {"target_branch = \"a\\u0000b\"", "17", "\"target_branch\" holds a NUL character\n"},
        {"branch_exclusions = 'a,-b'", "21",
         "\"branch_exclusions\": a branch name neither begins with '-' nor holds control "
         "characters\n"},
        {"branch_exclusions = ['']", "22", "\"branch_exclusions\": a branch name is empty\n"},
        {"branch_exclusions = []", "", ""},
        {"branch_exclusions = ''", "", ""},
        {"ssh_key_path = 'key'", "16",
         "\"ssh_key_path\": write an absolute path, or one that begins with ~/\n"},
        {"poll_interval = '" POLL_BELOW "'", "17",
         "\"poll_interval\" must be at least " POLL_MINIMUM ", found \"" POLL_BELOW "\"\n"},
        {"poll_interval = '8d'", "17", "\"poll_interval\" must be at most 1w, found \"8d\"\n"},
        {"timeout = '0'", "11", "\"timeout\" must be at least 1ms, found \"0\"\n"},
        {"timeout = '5 m'", "11",
         "\"timeout\": \"5 m\" is not a duration; write for example \"90s\", \"1h30m\" or \"2d\" "
         "(units ms s m "
         "h d w, largest first)\n"},
        {"log_cap = '63K'", "11", "\"log_cap\" must be at least 64.0 KiB, found \"63K\"\n"},
        {"log_cap = 5", "11", "\"log_cap\" must be at least 64.0 KiB, found 5\n"},
        {"log_cap = 65536", "", ""},
        {"priority = 1001", "12", "\"priority\" must be from -1000 to 1000, found 1001\n"},
        {"priority = -1000", "", ""},
        {"on_push = 'cancel'", "11",
         "\"on_push\" must be one of \"queue\", \"cancel_running\", found \"cancel\"\n"},
        {"on_rewind = 'blok'", "13",
         "\"on_rewind\" must be one of \"run\", \"block\", found \"blok\", did you mean "
         "\"block\"?\n"},
        {"on_interrupt = ''", "16",
         "\"on_interrupt\" must be one of \"fail\", \"rerun\", found \"\"\n"},
        {"on_push = \"queue\\u0000\"", "11", "\"on_push\" holds a NUL character\n"},
        {"env = { 'A-B' = '1' }", "9", "\"A-B\" is not a name of an environment variable\n"},
        {"env = { '' = '1' }", "9", "\"\" is not a name of an environment variable\n"},
        {"env = { 1A = '1' }", "9", "\"1A\" is not a name of an environment variable\n"},
        {"env = { PHANTOM_CI_SHA = '1' }", "9", "\"PHANTOM_CI_SHA\" is set by phantom_ci itself\n"},
        {"env = { A = \"x\\u0000\" }", "13", "A holds a NUL character\n"},
        {"keep = '/x'", "8",
         "\"keep\": write paths relative to the checkout, for example \"target/\"\n"},
        {"keep = ['a', 'b/../c']", "14",
         "\"keep\": a path to keep has no \"..\", \".\", \".git\" or empty parts\n"},
        {"keep = ['.git']", "9",
         "\"keep\": a path to keep has no \"..\", \".\", \".git\" or empty parts\n"},
        {"keep = ['sub/.GIT/']", "9",
         "\"keep\": a path to keep has no \"..\", \".\", \".git\" or empty parts\n"},
        {"keep = ['a//b']", "9",
         "\"keep\": a path to keep has no \"..\", \".\", \".git\" or empty parts\n"},
        {"keep = ['.gitignore', 'a..b', '.x/']", "", ""},
    };
    assert_lines(lines, G_N_ELEMENTS(lines));
}

/* "A key whose feature is not built yet is an error that says so, never silently ignored." */
static void test_unavailable(void)
{
    static const struct line lines[] = {
        {"writable = 'www'", "12",
         "\"writable\": write an absolute path, or one that begins with ~/\n"},
        {"network = 'no'", "11", "\"network\" must be true or false, found a string\n"},
        {"sandbox = 'offf'", "11",
         "\"sandbox\" must be one of \"off\", \"workspace\", \"strict\", found \"offf\", did you "
         "mean \"off\"?\n"},
        {"executor = 'podman:debian'", "1",
         "\"executor = podman:debian\" is not available in this version of phantom_ci; write "
         "\"local\" or remove "
         "the line\n"},
        {"executor = 'podman:'", "12",
         "\"executor\": it must be \"local\", \"podman:IMAGE\" or \"slurm\", found \"podman:\"\n"},
        {"notify = 'al'", "10",
         "\"notify\" must be one of \"all\", \"failures\", \"changes\", \"none\", found \"al\", "
         "did you mean \"all\"?\n"},
    };
    assert_lines(lines, G_N_ELEMENTS(lines));
}

#define FINGERPRINT "0123456789abcdef0123456789ABCDEF01234567"

/* What looks like a check of signatures is one. */
static void test_signatures(void)
{
    static const struct line lines[] = {
        {"allowed_signers = '/x'", "", ""},
        {"allowed_signers = 'x'", "19",
         "\"allowed_signers\": write an absolute path, or one that begins with ~/\n"},
        {"allowed_signers = ''", "19",
         "\"allowed_signers\": write an absolute path, or one that begins with ~/\n"},
        {"allowed_gpg_keys = ['" FINGERPRINT "']", "1",
         "\"allowed_gpg_keys\" needs \"gpg_keyring\": the file with these public keys, as gpg "
         "--export writes it\n"},
        {"gpg_keyring = '/k'", "1",
         "\"gpg_keyring\" needs \"allowed_gpg_keys\": the fingerprints of those keys in it that "
         "may sign\n"},
        {"gpg_keyring = '/k'\nallowed_gpg_keys = '" FINGERPRINT "'", "", ""},
        {"gpg_keyring = '/k'\nallowed_gpg_keys = []", "1",
         "\"gpg_keyring\" needs \"allowed_gpg_keys\": the fingerprints of those keys in it that "
         "may sign\n"},
        {"allowed_gpg_keys = ['01234567']", "21",
         "\"allowed_gpg_keys\": write the whole fingerprint, 40 hexadecimal digits without blanks, "
         "as gpg --list-keys shows it\n"},
        {"allowed_gpg_keys = ['" FINGERPRINT "0']", "21",
         "\"allowed_gpg_keys\": write the whole fingerprint, 40 hexadecimal digits without blanks, "
         "as gpg --list-keys shows it\n"},
        {"verify = 'range'", "1",
         "\"verify\" does nothing without \"allowed_signers\" or \"allowed_gpg_keys\"\n"},
        {"strict_signatures = true", "1",
         "\"strict_signatures\" does nothing without \"allowed_signers\" or "
         "\"allowed_gpg_keys\"\n"},
        {"verify = 'all'", "10", "\"verify\" must be one of \"tip\", \"range\", found \"all\"\n"},
        {"workflow_approval = 'on_change'", "", ""},
        {"workflow_approval = 'on_changes'", "21",
         "\"workflow_approval\" must be one of \"never\", \"on_change\", found \"on_changes\", did "
         "you mean \"on_change\"?\n"},
        {"approve_paths = 'Makefile'", "1",
         "\"approve_paths\" does nothing without \"workflow_approval\" = \"on_change\"\n"},
        {"workflow_approval = 'on_change'\napprove_paths = ['Makefile', 'scripts/**']", "", ""},
        {"verify = 'range'\nstrict_signatures = true\nallowed_signers = '~/x'", "", ""},
    };
    assert_lines(lines, G_N_ELEMENTS(lines));
}

/* Every known key with one letter left out, put in, or changed. */
static void test_did_you_mean(void)
{
    for (const struct schema_key *key = repo_section_keys; key->name; key++) {
        size_t length = strlen(key->name);
        g_autofree char *changed = g_strdup(key->name);
        changed[length / 2] = 'Z';
        g_autofree char *longer =
            g_strdup_printf("%.*sQ%s", (int)(length / 2), key->name, key->name + length / 2);
        g_autofree char *shorter = g_strdup_printf("%.*s%s", 1, key->name, key->name + 2);
        const char *const wrong[] = {changed, longer, shorter};
        for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
            g_autofree char *text =
                g_strdup_printf("\n[a]\npath = '/a'\n# x\n   %s = 1\n", wrong[i]);
            g_autofree char *found = diagnose("Repo.toml", text);
            g_autofree char *expected = g_strdup_printf(
                "Repo.toml:5:4: unknown key \"%s\", did you mean \"%s\"?\n", wrong[i], key->name);
            g_assert_cmpstr(found, ==, expected);
        }
    }
    g_autofree char *far =
        diagnose("Repo.toml", "[a]\npath = '/a'\nwebhook = 1\n\"path\\u0000\" = 1\n");
    g_assert_cmpstr(
        far, ==,
        "Repo.toml:3:1: unknown key \"webhook\"\nRepo.toml:4:1: unknown key \"path\\x00\"\n");
}

#define NO_NAME(name)                                                                              \
    "\"" name                                                                                      \
    "\" can't name a repository: 1 to 100 bytes, no '/', no control characters, no '-' in front\n"
#define X10 "xxxxxxxxxx"
#define X50 X10 X10 X10 X10 X10

static void test_sections(void)
{
    static const struct verdict verdicts[] = {
        {"", ""},
        {"# only comments\n", ""},
        {"[a]\npath='/x'\n[b]\npath='/x'\n", ""},
        {"a = { path = '/x' }\n", ""},
        {"[caf\xc3\xa9.b]\n",
         "Repo.toml:1:5: '\xc3\xa9' needs quotes around the word that it is in\n"},
        {"[\"caf\xc3\xa9 b.c\"]\npath='/x'\n", ""},
        {"[" X50 X50 "]\npath='/x'\n", ""},
        {"[" X50 X50 "x]\npath='/x'\n", "Repo.toml:1:2: " NO_NAME(X50 X50 "x")},
        {"['']\npath='/x'\n", "Repo.toml:1:2: " NO_NAME("")},
        {"[-a]\npath='/x'\n", "Repo.toml:1:2: " NO_NAME("-a")},
        {"['a/b']\npath='/x'\n", "Repo.toml:1:2: " NO_NAME("a/b")},
        {"[\"a\\tb\"]\npath='/x'\n", "Repo.toml:1:2: " NO_NAME("a\\x09b")},
        {"[\"a\\u0085\"]\npath='/x'\n", "Repo.toml:1:2: " NO_NAME("a\\u{0085}")},
        {"[\"a\\u0000b\"]\npath='/x'\n", "Repo.toml:1:2: " NO_NAME("a\\x00b")},
        {"\n [a]\n", "Repo.toml:2:3: section \"a\" has no \"path\": the URL or absolute path of "
                     "the repository\n"},
        {"[a]\npath='/x'\n[b]\n\n[a]\n",
         "Repo.toml:5:1: Error while parsing table header: cannot redefine existing table 'a'\n"},
        {"path = '/x'\n[a]\npath='/x'\n", "Repo.toml:1:1: \"path\" stands outside of a section; "
                                          "put it below a header such as [my-app]\n"},
        {"[[a]]\npath='/x'\n",
         "Repo.toml:1:3: \"a\" is an array of tables; write a section with single brackets, [a]\n"},
        {"[a.b]\npath='/x'\n", "Repo.toml:1:2: section \"a\" has no \"path\": the URL or absolute "
                               "path of the repository\n"
                               "Repo.toml:1:4: unknown key \"b\"\n"},
    };
    assert_verdicts("Repo.toml", verdicts, G_N_ELEMENTS(verdicts));
}

static bool refuse_evil(const char *text, GError **error)
{
    if (strstr(text, "evil")) {
        g_set_error(error, CONFIG_ERROR, ERROR_INVALID, "\"%s\" is evil", text);
        return false;
    }
    return true;
}

/* Tags are selected apart from branches: to ask for some is no reason to look at branches anew. */
static void test_tags(void)
{
    static const char *const lines[] = {"", "target_tags = 'v*'", "target_tags = ['v*', 'x']",
                                        "target_tags = ''", "target_tags = []"};
    g_autofree char *branches = NULL;
    g_autofree char *tags = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *text = g_strdup_printf("[a]\npath = '/a'\n%s\n", lines[i]);
        struct config *config = load_good(text, NULL);
        const struct repo_config *repo = only_repo(config);
        g_autofree char *selection = repo_config_selection(repo);
        g_autofree char *tag_selection = repo_config_tag_selection(repo);
        bool asks = i == 1 || i == 2;
        g_assert_true(!branches || strcmp(branches, selection) == 0);
        g_assert_cmpint(tag_selection != NULL, ==, asks);
        g_assert_true(!asks || g_strcmp0(tags, tag_selection) != 0);
        g_assert_cmpint(repo_config_wants_tag(repo, "v1/x"), ==, asks);
        g_assert_cmpint(repo_config_wants_tag(repo, "x"), ==, i == 2);
        g_assert_false(repo_config_wants_tag(repo, "master"));
        g_free(branches);
        branches = g_steal_pointer(&selection);
        g_free(tags);
        tags = g_steal_pointer(&tag_selection);
        config_free(config);
    }
}

static void test_wrong_triggers(void)
{
    static const struct line lines[] = {
        {"target_tags = 1", "15",
         "\"target_tags\" must be a string or an array of strings, found an integer\n"},
        {"target_tags = ['v*', '-x']", "22",
         "\"target_tags\": a tag's name neither begins with '-' nor holds control characters\n"},
        {"target_tags = ['']", "16",
         "\"target_tags\": write a tag's short name, or a glob such as \"v*\"\n"},
        {"target_tags = 'refs/tags/v1'", "15",
         "\"target_tags\": write a tag's short name, or a glob such as \"v*\"\n"},
        {"schedule = 3", "12",
         "\"schedule\" must be a string or an array of strings, found an integer\n"},
        {"schedule = ['0 3 * * *', 'an evil one']", "26",
         "\"schedule\": \"an evil one\" is evil\n"},
        {"schedule = 'evil'", "12", "\"schedule\": \"evil\" is evil\n"},
        {"schedule = ''", "", ""},
        {"paths = true", "9",
         "\"paths\" must be a string or an array of strings, found true or false\n"},
        {"paths = ['src/**', '!']", "20",
         "\"paths\": it names no path; for every file write \"**\"\n"},
        {"paths = 'a[b'", "9", "\"paths\": a '[' has no ']'\n"},
        {"paths = \"a\\tb\"", "9", "\"paths\": it holds control characters\n"},
        {"paths = []", "", ""},
        {"skip_ci = 'yes'", "11", "\"skip_ci\" must be true or false, found a string\n"},
    };
    config_set_checks(&(struct config_checks){.schedule = refuse_evil});
    assert_lines(lines, G_N_ELEMENTS(lines));
    config_set_checks(&(struct config_checks){.url = NULL});
}

#define LIGHT "\"path\": a URL neither begins with '-' nor holds control characters or \"::\"\n"
#define RELATIVE                                                                                   \
    "\"path\": it is a relative path; write a URL, an absolute path, or one that begins with ~/\n"

/* DEMAND S3, S4: what is refused whoever else looks at it. */
static void test_paths(void)
{
    static const struct {
        const char *path, *message;
    } cases[] = {
        {"", "\"path\": it is empty; write the repository's URL or absolute path\n"},
        {"--upload-pack=touch x", LIGHT},
        {"ext::sh -c id", LIGHT},
        {"EXT::x", LIGHT},
        {"https://h/a\\n", LIGHT},
        {"https://h/\\u009b", LIGHT},
        {"app", RELATIVE},
        {"./app", RELATIVE},
        {"../app", RELATIVE},
        {"a/b:c", RELATIVE},
        {"~me/app", RELATIVE},
        {"~", RELATIVE},
        {"https://h/app", ""},
        {"me@host:app", ""},
        {"/srv/app", ""},
        {"file:///srv/app", ""},
        {"https://evil/app", "\"path\": \"https://evil/app\" is evil\n"},
        {"~/evil", "\"path\": \"/home/me/evil\" is evil\n"},
    };
    g_setenv("HOME", "/home/me", TRUE);
    config_set_checks(&(struct config_checks){refuse_evil, refuse_evil, refuse_evil});
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("[a]\npath = \"%s\"\n", cases[i].path);
        g_autofree char *found = diagnose("Repo.toml", text);
        g_autofree char *expected = *cases[i].message
                                        ? g_strdup_printf("Repo.toml:2:8: %s", cases[i].message)
                                        : g_strdup("");
        g_assert_cmpstr(found, ==, expected);
    }
    g_autofree char *branches = diagnose(
        "Repo.toml",
        "[a]\npath = '/a'\ntarget_branch = ['evil', 'evil*']\nbranch_exclusions = 'x, evil'\n");
    g_assert_cmpstr(branches, ==,
                    "Repo.toml:3:18: \"target_branch\": \"evil\" is evil\n"
                    "Repo.toml:4:21: \"branch_exclusions\": \"evil\" is evil\n");
    config_set_checks(&(struct config_checks){.url = NULL});
    g_autofree char *unchecked = diagnose("Repo.toml", "[a]\npath = '/evil'\n");
    g_assert_cmpstr(unchecked, ==, "");
    g_unsetenv("HOME");
    g_autofree char *homeless = diagnose("Repo.toml", "[a]\npath = '~/a'\n");
    g_assert_cmpstr(
        homeless, ==,
        "Repo.toml:2:8: \"path\": HOME is not set to an absolute path, so that ~/ means nothing\n");
}

static void test_all_in_one_pass(void)
{
    g_autofree char *found =
        diagnose("Repo.toml", "stray = 1\n[b]\ntimout = '5s'\n[a]\npath = 7\npriority = 'x'\n"
                              "env = { '1' = 1, PHANTOM_CI = 2 }\n");
    g_assert_cmpstr(
        found, ==,
        "Repo.toml:1:1: \"stray\" stands outside of a section; put it below a header such as "
        "[my-app]\n"
        "Repo.toml:2:2: section \"b\" has no \"path\": the URL or absolute path of the repository\n"
        "Repo.toml:3:1: unknown key \"timout\", did you mean \"timeout\"?\n"
        "Repo.toml:5:8: \"path\" must be a string, found an integer\n"
        "Repo.toml:6:12: \"priority\" must be an integer, found a string\n"
        "Repo.toml:7:9: \"1\" is not a name of an environment variable\n"
        "Repo.toml:7:18: \"PHANTOM_CI\" is set by phantom_ci itself\n");
}

static void test_find(void)
{
    struct config *config = load_good("[alpha]\npath='/a'\n[beta]\npath='/b'\n", NULL);
    g_assert_cmpstr(config_find_repo(config, "beta")->url, ==, "/b");
    g_assert_null(config_find_repo(config, "betas"));
    g_assert_cmpstr(config_nearest_repo(config, "betas"), ==, "beta");
    g_assert_null(config_nearest_repo(config, "gamma-ray"));
    config_free(config);
}

static void test_json(void)
{
    g_setenv("HOME", "/home/\xff", TRUE);
    struct config *config = load_good(every_key, NULL);
    const struct repo_config *repo = only_repo(config);
    static const char *const secret_files[] = {"/s/\xff", "/t", NULL};
    g_autofree char *json = repo_config_to_json(repo, secret_files);
    g_autoptr(GError) error = NULL;
    struct repo_config *copy = repo_config_from_json(json, strlen(json), &error);
    g_assert_no_error(error);
    assert_list(copy->secret_files, "/s/\xff|/t");
    g_autofree char *again = repo_config_to_json(copy, (const char *const *)copy->secret_files);
    g_assert_cmpstr(again, ==, json);
    g_assert_true(g_utf8_validate(json, -1, NULL));
    g_assert_cmpstr(copy->name, ==, "my app");
    g_assert_cmpstr(copy->url, ==, "/home/\xff/app");
    g_assert_cmpstr(copy->ssh_key_path, ==, repo->ssh_key_path);
    assert_list(copy->target_branches, "main|release/*");
    assert_list(copy->env, "RUST_LOG=info|N=3|B=true|CI=yes|E=");
    assert_list(copy->keep, "target/|.cache/x");
    g_assert_cmpint(copy->timeout_ms, ==, repo->timeout_ms);
    g_assert_cmpint(copy->log_cap_bytes, ==, repo->log_cap_bytes);
    g_assert_cmpint(copy->priority, ==, -5);
    g_assert_cmpint(copy->on_rewind, ==, ON_REWIND_BLOCK);
    g_assert_true(copy->submodules);
    repo_config_free(copy);

    /* Nothing of it may be missing, and no part of it may be cut off. */
    for (size_t length = 0; length < strlen(json); length += 7) {
        g_assert_null(repo_config_from_json(json, length, NULL));
    }
    static const char *const broken[] = {
        "", "null", "[]", "{}", "{\"name\":\"x\"}", "{\"name\":7}",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autoptr(GError) refused = NULL;
        g_assert_null(repo_config_from_json(broken[i], strlen(broken[i]), &refused));
        g_assert_true(error_has_code(refused, ERROR_INVALID));
    }
    static const char *const changes[][2] = {{"\"on_push\":1", "\"on_push\":2"},
                                             {"\"priority\":-5", "\"priority\":99999"},
                                             {"\"submodules\":true", "\"submodules\":1"},
                                             {"\"name\":\"my app\"", "\"name\":\"%00\""},
                                             {"\"grace\":0", "\"grace\":-1"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_auto(GStrv) parts = g_strsplit(json, changes[i][0], -1);
        g_assert_cmpuint(g_strv_length(parts), ==, 2);
        g_autofree char *changed = g_strjoinv(changes[i][1], parts);
        g_assert_null(repo_config_from_json(changed, strlen(changed), NULL));
    }
    config_free(config);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config_repo/section__two_keys__has_the_defaults", test_two_keys);
    g_test_add_func("/config_repo/section__every_key__is_read", test_every_key);
    g_test_add_func("/config_repo/branches__O6_names_globs_exclusions__are_matched", test_branches);
    g_test_add_func("/config_repo/selection__changed_target__differs", test_selection);
    g_test_add_func("/config_repo/value__wrong_type__names_found_and_expected", test_wrong_types);
    g_test_add_func("/config_repo/value__out_of_range__names_found_and_accepted",
                    test_wrong_values);
    g_test_add_func("/config_repo/signatures__half_configured__are_refused", test_signatures);
    g_test_add_func("/config_repo/key__of_later_version__is_refused_as_such", test_unavailable);
    g_test_add_func("/config_repo/key__one_edit_off__is_suggested_with_position",
                    test_did_you_mean);
    g_test_add_func("/config_repo/section__bad_header__has_line_and_column", test_sections);
    g_test_add_func("/config_repo/tags__asked_for__have_a_selection_of_their_own", test_tags);
    g_test_add_func("/config_repo/value__wrong_trigger__names_found_and_expected",
                    test_wrong_triggers);
    g_test_add_func("/config_repo/path__S3_S4_hostile__is_refused", test_paths);
    g_test_add_func("/config_repo/text__O11_several_mistakes__are_told_in_one_pass",
                    test_all_in_one_pass);
    g_test_add_func("/config_repo/find__names__exact_or_nearest", test_find);
    g_test_add_func("/config_repo/json__round_trip_and_broken__equal_or_refused", test_json);
    return g_test_run();
}
