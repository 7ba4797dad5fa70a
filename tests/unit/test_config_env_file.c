/* Secrets for steps in the configuration: the keys of a section; and of what env_file names, which
 * variables it may set, from where it is read, and that no message tells anything of it. */
#include <glib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/dotenv.h"
#include "config/env_file.h"
#include "config_fixture.h"
#include "private_file_fixture.h"

/* "KEY=[value]" for each entry, or the diagnostics. */
static char *describe(GPtrArray *entries, struct diagnostics *diagnostics)
{
    g_assert_true((entries == NULL) == diagnostics_any(diagnostics));
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; entries && i < entries->len; i++) {
        const struct dotenv_entry *entry = g_ptr_array_index(entries, i);
        g_string_append_printf(text, "%s=[%s]\n", entry->key, entry->value);
    }
    g_autofree char *messages = diagnostics_format(diagnostics);
    g_string_append(text, messages);
    g_clear_pointer(&entries, g_ptr_array_unref);
    diagnostics_free(diagnostics);
    return g_string_free(text, FALSE);
}

static void parse__keys__are_names_of_variables_and_not_ours(void)
{
    static const char no_name[] =
        "this is not a name of an environment variable; expected letters, digits and \"_\"\n";
    static const char ours[] =
        "variables that begin with PHANTOM_CI are set by phantom_ci itself\n";
    static const struct {
        const char *text, *where, *message;
    } cases[] = {
        {"A=1\n_b2='x\ny'\nPATH=/x\nLD_PRELOAD=z\n", "",
         "A=[1]\n_b2=[x\ny]\nPATH=[/x]\nLD_PRELOAD=[z]\n"},
        {"", "", ""},
        {"A=1\nb.canary=2\n", "x:2:1: ", no_name},
        {"\n  export a-canary=2\n", "x:2:10: ", no_name},
        {"PHANTOM_CI_SHA=canary", "x:1:1: ", ours},
        {"PHANTOM_CI=canary", "x:1:1: ", ours},
        {"CANARY=1\nB=2\n CANARY=3\n",
         "x:3:2: ", "this variable stands in line 1 already; remove one of the two\n"},
        {"canary\n", "x:1:7: ", "expected \"=\" after the key, as in KEY=value\n"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct diagnostics *diagnostics = diagnostics_new();
        GPtrArray *entries = env_file_parse(cases[i].text, strlen(cases[i].text), "x", diagnostics);
        g_autofree char *found = describe(entries, diagnostics);
        g_autofree char *expected = g_strconcat(cases[i].where, cases[i].message, NULL);
        g_assert_cmpstr(found, ==, expected);
    }
}

/* What was read, with the file's path as "PATH". */
static char *load(const struct site *site, const char *place)
{
    struct diagnostics *diagnostics = diagnostics_new();
    GPtrArray *entries = env_file_load(place, diagnostics);
    g_autofree char *text = describe(entries, diagnostics);
    g_auto(GStrv) parts = g_strsplit(text, site->path, -1);
    return g_strjoinv("PATH", parts);
}

static void assert_loaded(const struct site *site, const char *place, const char *expected)
{
    g_autofree char *found = load(site, place);
    g_assert_cmpstr(found, ==, expected);
}

static void load__path__is_read_or_says_why_not(void)
{
    struct site site = make_site("A=canary\n", 0600);
    assert_loaded(&site, site.path, "A=[canary]\n");
    g_assert_cmpint(chmod(site.path, 0640), ==, 0);
    g_autofree char *refused = load(&site, site.path);
    g_assert_true(g_str_has_prefix(refused, "PATH: holds secrets and may be read by others"));
    g_assert_nonnull(strstr(refused, "chmod 600"));
    remove_site(&site);
    struct site empty = make_site(NULL, 0);
    assert_loaded(&empty, empty.path,
                  "PATH: is not there; make it, for this user alone to read (mode 600), or take it "
                  "out of env_file\n");
    remove_site(&empty);
}

static void load__credential__is_a_file_of_the_service(void)
{
    struct site site = make_site("A=1\nPHANTOM_CI=2\n", 0440);
    g_unsetenv("CREDENTIALS_DIRECTORY");
    assert_loaded(&site, "credential:ci.env",
                  "credential:ci.env: is a credential of the service, and CREDENTIALS_DIRECTORY is "
                  "not set: phantom_ci was not started by systemd with "
                  "LoadCredential=ci.env:PATH (what is run by hand with --detach is run by the "
                  "service)\n");
    g_setenv("CREDENTIALS_DIRECTORY", site.directory, TRUE);
    assert_loaded(&site, "credential:ci.env",
                  "PATH:2:1: variables that begin with PHANTOM_CI are set by phantom_ci itself\n");
    g_assert_true(g_file_set_contents(site.path, "A=1\n", -1, NULL));
    g_assert_cmpint(chmod(site.path, 0440), ==, 0);
    assert_loaded(&site, "credential:ci.env", "A=[1]\n");
    assert_loaded(&site, site.path,
                  "PATH: holds secrets and may be read by others (mode 440); mend it with: chmod "
                  "600 'PATH'\n");
    g_autofree char *absent = load(&site, "credential:other");
    g_assert_nonnull(strstr(absent, "/other: is not there; add LoadCredential=other:PATH to the "
                                    "unit and restart the service\n"));
    g_unsetenv("CREDENTIALS_DIRECTORY");
    remove_site(&site);
}

/* ---------------------------------------------------- keys of Repo.toml */

static void section__keys__say_where_secrets_come_from(void)
{
    static const char credential[] = "\"env_file\": write credential: and the name of a credential "
                                     "of the service, as in LoadCredential=NAME:PATH\n";
    static const char program[] =
        "\"secret_command\" begins with the name of a program that PATH leads to, an absolute "
        "path, or one that begins with ~/\n";
    const struct {
        const char *line, *column, *message;
    } lines[] = {
        {"env_file = ''", "", ""},
        {"env_file = ['/etc/x', '~/y', 'credential:ci_1.env']", "", ""},
        {"env_file = 'x'", "12",
         "\"env_file\": write an absolute path, or one that begins with ~/\n"},
        {"env_file = ['/x', '']", "19",
         "\"env_file\": write an absolute path, or one that begins with ~/\n"},
        {"env_file = 'credential:'", "12", credential},
        {"env_file = 'credential:../x'", "12", credential},
        {"env_file = 'credential:.x'", "12", credential},
        {"env_file = 'credential:a/b'", "12", credential},
        {"env_file = \"credential:a\\n\"", "12", credential},
        {"secret_command = []", "", ""},
        {"secret_command = ['pass', 'show', 'a b', '']\nsecret_timeout = '1m'", "", ""},
        {"secret_command = ['/usr/bin/pass', './x']", "", ""},
        {"secret_command = 'pass show ci'", "18",
         "\"secret_command\": write the program and its arguments as a list, [\"pass\", "
         "\"show\", \"ci\"]; there is no shell\n"},
        {"secret_command = ['./pass']", "1", program},
        {"secret_command = ['']", "1", program},
        {"secret_command = [\"pass\", \"a\\n\"]", "27",
         "\"secret_command\": it holds control characters\n"},
        {"secret_timeout = '5s'", "1",
         "\"secret_timeout\" does nothing without \"secret_command\"\n"},
        {"secret_timeout = '2h'", "18", "\"secret_timeout\" must be at most 1h, found \"2h\"\n"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *text = g_strdup_printf("[a]\npath = '/a'\n%s\n", lines[i].line);
        g_autofree char *found = diagnose("Repo.toml", text);
        g_autofree char *expected =
            *lines[i].message
                ? g_strdup_printf("Repo.toml:3:%s: %s", lines[i].column, lines[i].message)
                : g_strdup("");
        g_assert_cmpstr(found, ==, expected);
    }
}

static void section__files_of_all__are_listed_once(void)
{
    g_setenv("HOME", "/home/me", TRUE);
    struct config *config = load_good("[a]\npath='/a'\nenv_file=['/s/1','~/2','credential:x']\n"
                                      "[b]\npath='/b'\nssh_key_path='~/key'\nenv_file='/s/1'\n"
                                      "[c]\npath='/c'\nssh_key_path='~/key'\n",
                                      NULL);
    g_auto(GStrv) files = config_secret_files(config);
    assert_list(files, "/s/1|/home/me/2|/home/me/key");
    config_free(config);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/env_file/parse__keys__are_names_of_variables_and_not_ours",
                    parse__keys__are_names_of_variables_and_not_ours);
    g_test_add_func("/env_file/load__path__is_read_or_says_why_not",
                    load__path__is_read_or_says_why_not);
    g_test_add_func("/env_file/load__credential__is_a_file_of_the_service",
                    load__credential__is_a_file_of_the_service);
    g_test_add_func("/env_file/section__keys__say_where_secrets_come_from",
                    section__keys__say_where_secrets_come_from);
    g_test_add_func("/env_file/section__files_of_all__are_listed_once",
                    section__files_of_all__are_listed_once);
    return g_test_run();
}
