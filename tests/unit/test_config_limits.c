/* The keys that limit what a job may take. */
#include "config_fixture.h"

#include "config/repo_section.h"

static void test_values(void)
{
    static const struct line lines[] = {
        {"memory_max = '2G'", "", ""},
        {"memory_max = 'none'", "", ""},
        {"memory_max = '3M'", "14", "\"memory_max\" must be at least 4.0 MiB, found \"3M\"\n"},
        {"memory_max = 0", "14", "\"memory_max\" must be at least 4.0 MiB, found 0\n"},
        {"memory_max = 'all'", "14",
         "\"memory_max\": \"all\" is not a size; write for example \"64M\", \"2G\" or \"65536\" "
         "(K M G T, powers of 1024)\n"},
        {"pids_max = 512", "", ""},
        {"pids_max = 0", "", ""},
        {"pids_max = -1", "12", "\"pids_max\" must be from 0 to 4194304, found -1\n"},
        {"memory_max = []", "14",
         "\"memory_max\" must be a size such as \"64M\", found an array\n"},
        {"pids_max = 'none'", "12", "\"pids_max\" must be an integer, found a string\n"},
        {"cpu_max = 2", "", ""},
        {"cpu_max = 1.5", "", ""},
        {"cpu_max = 0", "", ""},
        {"cpu_max = '150%'", "", ""},
        {"cpu_max = '12.5%'", "", ""},
        {"cpu_max = '1.5'", "11",
         "\"cpu_max\" must be a number of processors such as 1.5, or \"150%\", found \"1.5\"\n"},
        {"cpu_max = '1.5.5%'", "11",
         "\"cpu_max\" must be a number of processors such as 1.5, or \"150%\", found "
         "\"1.5.5%\"\n"},
        {"cpu_max = '%'", "11",
         "\"cpu_max\" must be a number of processors such as 1.5, or \"150%\", found \"%\"\n"},
        {"cpu_max = true", "11",
         "\"cpu_max\" must be a number of processors such as 1.5, or \"150%\", found true or "
         "false\n"},
        {"cpu_max = nan", "11",
         "\"cpu_max\" must be from 0.01 to 4096 processors, or 0 for no limit, found nan\n"},
        {"cpu_max = -1", "11",
         "\"cpu_max\" must be from 0.01 to 4096 processors, or 0 for no limit, found -1\n"},
        {"cpu_max = 0.001", "11",
         "\"cpu_max\" must be from 0.01 to 4096 processors, or 0 for no limit, found 0.001\n"},
        {"cpu_max = 1e300", "11",
         "\"cpu_max\" must be from 0.01 to 4096 processors, or 0 for no limit, found 1e+300\n"},
        {"disk_max = '1G'", "", ""},
        {"disk_max = 'none'", "", ""},
        {"disk_max = '1K'", "12", "\"disk_max\" must be at least 64.0 KiB, found \"1K\"\n"},
        {"idle_timeout = '5m'", "", ""},
        {"idle_timeout = 'none'", "", ""},
        {"idle_timeout = '0'", "16", "\"idle_timeout\" must be at least 100ms, found \"0\"\n"},
        {"nice = 19", "", ""},
        {"nice = -1", "8", "\"nice\" must be from 0 to 19, found -1\n"},
        {"nice = 20", "8", "\"nice\" must be from 0 to 19, found 20\n"},
    };
    assert_lines(lines, G_N_ELEMENTS(lines));
}

static const char every_limit[] = "[app]\n"
                                  "path = '/x'\n"
                                  "memory_max = '2G'\n"
                                  "pids_max = 512\n"
                                  "cpu_max = 1.5\n"
                                  "disk_max = '10G'\n"
                                  "idle_timeout = '5m'\n"
                                  "nice = 10\n";

static void assert_every_limit(const struct repo_config *repo)
{
    g_assert_cmpint(repo->memory_max_bytes, ==, 2LL << 30);
    g_assert_cmpint(repo->pids_max, ==, 512);
    g_assert_cmpint(repo->cpu_max_milli, ==, 1500);
    g_assert_cmpint(repo->disk_max_bytes, ==, 10LL << 30);
    g_assert_cmpint(repo->idle_timeout_ms, ==, 300000);
    g_assert_cmpint(repo->nice, ==, 10);
}

static void test_none_by_default(void)
{
    struct config *config = load_good("[app]\npath = '/x'\n", NULL);
    const struct repo_config *repo = only_repo(config);
    g_assert_cmpint(repo->memory_max_bytes, ==, 0);
    g_assert_cmpint(repo->pids_max, ==, 0);
    g_assert_cmpint(repo->cpu_max_milli, ==, 0);
    g_assert_cmpint(repo->disk_max_bytes, ==, 0);
    g_assert_cmpint(repo->idle_timeout_ms, ==, 0);
    g_assert_cmpint(repo->nice, ==, 0);
    config_free(config);
}

static void test_every_limit(void)
{
    struct config *config = load_good(every_limit, NULL);
    assert_every_limit(only_repo(config));
    g_autofree char *json = repo_config_to_json(only_repo(config), no_files);
    g_autoptr(GError) error = NULL;
    struct repo_config *copy = repo_config_from_json(json, strlen(json), &error);
    g_assert_no_error(error);
    assert_every_limit(copy);
    repo_config_free(copy);
    config_free(config);
}

/* A section can undo what [defaults] asks for. */
static void test_defaults(void)
{
    struct config *config = load_good(
        "[app]\npath = '/x'\nmemory_max = 'none'\npids_max = 0\ncpu_max = 0\ndisk_max = 'none'\n"
        "idle_timeout = 'none'\n",
        "[defaults]\nmemory_max = '1G'\npids_max = 5\ncpu_max = '200%'\ndisk_max = '1G'\n"
        "idle_timeout = '1m'\nnice = 5\n");
    const struct repo_config *repo = only_repo(config);
    g_assert_cmpint(repo->memory_max_bytes, ==, 0);
    g_assert_cmpint(repo->pids_max, ==, 0);
    g_assert_cmpint(repo->cpu_max_milli, ==, 0);
    g_assert_cmpint(repo->disk_max_bytes, ==, 0);
    g_assert_cmpint(repo->idle_timeout_ms, ==, 0);
    g_assert_cmpint(repo->nice, ==, 5);
    g_autofree char *json = repo_config_to_json(repo, no_files);
    struct repo_config *copy = repo_config_from_json(json, strlen(json), NULL);
    g_assert_nonnull(copy);
    repo_config_free(copy);
    config_free(config);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config_limits/absent__no_limit", test_none_by_default);
    g_test_add_func("/config_limits/every_key__is_kept_and_survives_json", test_every_limit);
    g_test_add_func("/config_limits/defaults__can_be_undone", test_defaults);
    g_test_add_func("/config_limits/value__is_taken_or_refused_with_its_place", test_values);
    return g_test_run();
}
