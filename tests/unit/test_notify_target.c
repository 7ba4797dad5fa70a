/* The receivers that .env names: what is accepted, where it is read from, what is told of it. */
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "config/dotenv.h"
#include "notify/target.h"

/* "discord URL" lines, or the errors; then "warning: ..." lines. No message quotes a value. */
static char *read_text(const char *text)
{
    struct diagnostics *errors = diagnostics_new(), *warnings = diagnostics_new();
    GPtrArray *entries = dotenv_parse(text, strlen(text), ".env", errors);
    g_assert_nonnull(entries);
    GPtrArray *targets = targets_from_entries(entries, ".env", errors, warnings);
    g_autofree char *wrong = diagnostics_format(errors);
    g_autofree char *odd = diagnostics_format(warnings);
    g_assert_null(strstr(wrong, "canary"));
    g_assert_null(strstr(odd, "canary"));
    g_assert_true((targets == NULL) == diagnostics_any(errors));
    GString *out = g_string_new(wrong);
    for (unsigned i = 0; targets && i < targets->len; i++) {
        const struct target *target = g_ptr_array_index(targets, i);
        g_autofree char *host = target_host(target);
        g_string_append_printf(out, "%s %s %s%s%s\n", target_kind_name(target->kind), host,
                               target->url, target->secret ? " " : "",
                               target->secret ? target->secret : "");
    }
    if (*odd) {
        g_string_append_printf(out, "warning: %s", odd);
    }
    g_ptr_array_unref(entries);
    if (targets) {
        g_ptr_array_unref(targets);
    }
    diagnostics_free(errors);
    diagnostics_free(warnings);
    return g_string_free(out, FALSE);
}

static void entries__keys__give_targets_in_a_fixed_order(void)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"DATABASE_URL=postgres://x\nPATH=/bin\n", ""},
        {"DISCORD_WEBHOOK_URL=\nSLACK_WEBHOOK_URL=''\nCUSTOM_WEBHOOK_SECRET=\"\"\n", ""},
        {"CUSTOM_WEBHOOK_SECRET=a-secret-16bytes\nCUSTOM_WEBHOOK_URL=https://c/canary\n"
         "SLACK_WEBHOOK_URL=https://s/canary\nDISCORD_WEBHOOK_URL=https://d/canary\n",
         "discord d https://d/canary\nslack s https://s/canary\ncustom c https://c/canary "
         "a-secret-16bytes\n"},
        {"CUSTOM_WEBHOOK_URL=https://c/canary\nCUSTOM_WEBHOOK_SECRET=\n",
         "custom c https://c/canary\n"},
        {"CUSTOM_WEBHOOK_SECRET=canary-0123456789\n",
         "warning: .env:1:1: CUSTOM_WEBHOOK_SECRET does nothing "
         "without CUSTOM_WEBHOOK_URL\n"},
        {"CUSTOM_WEBHOOK_URL=https://c/\nCUSTOM_WEBHOOK_SECRET=not-16-bytes-xx\n",
         "custom c https://c/ not-16-bytes-xx\nwarning: .env:2:23: CUSTOM_WEBHOOK_SECRET has less "
         "than 16 bytes and can be guessed; use a random one, as `openssl rand -hex 32` gives\n"},
        {"DISCORD_WEBHOOK_URL=https://canary\n\nDISCORD_WEBHOOK_URL=https://canary\n",
         ".env:3:1: DISCORD_WEBHOOK_URL stands in line 1 already; remove one of the two\n"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *found = read_text(cases[i].text);
        g_assert_cmpstr(found, ==, cases[i].expected);
    }
}

static void entries__near_misses__are_errors_with_the_right_key(void)
{
    static const struct {
        const char *key, *nearest;
    } cases[] = {
        {"DISCORD_WEBHOK_URL", "DISCORD_WEBHOOK_URL"},
        {"DISCORD_WEBHOOK_URI", "DISCORD_WEBHOOK_URL"},
        {"SLACK_WEBHOOKURL", "SLACK_WEBHOOK_URL"},
        {"slack_webhook_url", "SLACK_WEBHOOK_URL"},
        {"CUSTOM_WEBHOOK_SECERT", "CUSTOM_WEBHOOK_SECRET"},
        {"COSTUM_WEBHOOK_URL", "CUSTOM_WEBHOOK_URL"},
        {"WEBHOOK_URL", NULL},
        {"SLACK_TOKEN", NULL},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat("\n  ", cases[i].key, "=canary\n", NULL);
        g_autofree char *found = read_text(text);
        g_autofree char *expected =
            cases[i].nearest
                ? g_strdup_printf(".env:2:3: this key is not known to phantom_ci, but nearly so; "
                                  "did you mean \"%s\"?\n",
                                  cases[i].nearest)
                : g_strdup("");
        g_assert_cmpstr(found, ==, expected);
    }
}

static void url__good_ones__are_accepted_and_show_their_host(void)
{
    static const struct {
        const char *url, *host;
    } cases[] = {
        {"https://discord.com/api/webhooks/1/x", "discord.com"},
        {"HTTPS://Example.ORG", "Example.ORG"},
        {"https://example.org:8443/?a=b#c", "example.org"},
        {"https://example.org?a=b", "example.org"},
        {"https://user:password@example.org/", "example.org"},
        {"https://a_b-c.example.org/", "a_b-c.example.org"},
        {"https://[2001:db8::1]:65535/x", "[2001:db8::1]"},
        {"https://192.0.2.1:1/", "192.0.2.1"},
        {"http://localhost:8080/x", "localhost"},
        {"http://hooks.localhost/x", "hooks.localhost"},
        {"http://LOCALHOST/x", "LOCALHOST"},
        {"http://127.0.0.1/x", "127.0.0.1"},
        {"http://127.1.2.3:80", "127.1.2.3"},
        {"http://[::1]:80", "[::1]"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat("SLACK_WEBHOOK_URL='", cases[i].url, "'\n", NULL);
        g_autofree char *found = read_text(text);
        g_autofree char *expected =
            g_strconcat("slack ", cases[i].host, " ", cases[i].url, "\n", NULL);
        g_assert_cmpstr(found, ==, expected);
    }
}

static void url__bad_ones__are_refused_without_being_quoted(void)
{
    static const char scheme[] = "expected a URL that begins with https:// (or http://)";
    static const char bytes[] =
        "the URL has a blank, a backslash, a control character or a letter beyond ASCII; write "
        "such a byte as %XX, and a host in its xn-- form";
    static const char no_host[] = "there is no host name after \"//\"";
    static const char port[] = "the port after the host name is not a number from 1 to 65535";
    static const char host[] = "the host name has a character that no host name has";
    static const char address[] = "the IPv6 address between [ and ] is not one";
    static const struct {
        const char *url, *problem;
    } cases[] = {
        {"canary", scheme},
        {"discord.com/canary", scheme},
        {"ftp://canary/", scheme},
        {"file:///canary", scheme},
        {"https:/canary", scheme},
        {"https:canary", scheme},
        {"-https://canary", scheme},
        {"https://x/can ary", bytes},
        {"https://x/can\tary", bytes},
        {"https://x/canary\n", bytes},
        {"https://x\\canary/", bytes},
        {"https://x/canary\x7f", bytes},
        {"https://\xc3\xa4.canary/", bytes},
        {"https://", no_host},
        {"https:///canary", no_host},
        {"https://?canary", no_host},
        {"https://user@/canary", no_host},
        {"https://:80/canary", no_host},
        {"https://x:/canary", port},
        {"https://x:0/canary", port},
        {"https://x:65536/canary", port},
        {"https://x:99999999999999999999/canary", port},
        {"https://x:8o/canary", port},
        {"https://x,y/canary", host},
        {"https://a@b@canary/", host},
        {"https://x%2fcanary/", host},
        {"https://[canary", address},
        {"https://[]/canary", address},
        {"https://[canary]/", address},
        {"https://[::1]x/canary", host},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat("CUSTOM_WEBHOOK_URL=\"", cases[i].url, "\"\n", NULL);
        GString *quoted = g_string_new(text);
        g_string_replace(quoted, "\\", "\\\\", 0);
        g_autofree char *found = read_text(quoted->str);
        g_autofree char *expected =
            g_strdup_printf(".env:1:20: CUSTOM_WEBHOOK_URL: %s\n", cases[i].problem);
        g_assert_cmpstr(found, ==, expected);
        g_string_free(quoted, TRUE);
    }
}

static void url__http_to_another_machine__is_accepted_with_a_warning(void)
{
    static const char *const urls[] = {
        "http://example.org/canary", "http://192.0.2.1/canary", "http://127.example.org/canary",
        "http://localhost.example.org/canary", "http://localhost@example.org/canary"};
    for (unsigned i = 0; i < G_N_ELEMENTS(urls); i++) {
        g_autofree char *text = g_strconcat("SLACK_WEBHOOK_URL=", urls[i], "\n", NULL);
        g_autofree char *found = read_text(text);
        g_assert_true(g_str_has_prefix(found, "slack "));
        g_assert_nonnull(strstr(found, "\nwarning: .env:1:19: SLACK_WEBHOOK_URL: http to another "
                                       "machine sends the messages"));
    }
}

static void url_and_secret__limits_of_length__are_exact(void)
{
    g_autofree char *long_url = g_strnfill(TARGET_URL_MAX_BYTES - strlen("https://x/"), 'a');
    g_autofree char *long_secret = g_strnfill(TARGET_SECRET_MAX_BYTES, 's');
    g_autofree char *good = g_strconcat("CUSTOM_WEBHOOK_URL=https://x/", long_url,
                                        "\nCUSTOM_WEBHOOK_SECRET=", long_secret, "\n", NULL);
    g_autofree char *bad = g_strconcat("CUSTOM_WEBHOOK_URL=https://x/", long_url,
                                       "a\nCUSTOM_WEBHOOK_SECRET=", long_secret, "s\n", NULL);
    g_autofree char *accepted = read_text(good);
    g_autofree char *refused = read_text(bad);
    g_assert_true(g_str_has_prefix(accepted, "custom x https://x/aaa"));
    g_assert_cmpstr(refused, ==,
                    ".env:1:20: CUSTOM_WEBHOOK_URL: the URL is longer than 2048 bytes\n"
                    ".env:2:23: CUSTOM_WEBHOOK_SECRET is longer than 4096 bytes\n");
}

static void kind__names__are_read_back(void)
{
    enum target_kind kind = TARGET_DISCORD;
    for (unsigned i = 0; i < TARGET_KINDS; i++) {
        g_assert_true(target_kind_from_name(target_kind_name((enum target_kind)i), &kind));
        g_assert_cmpint(kind, ==, i);
    }
    g_assert_false(target_kind_from_name("Discord", &kind));
    g_assert_false(target_kind_from_name("", &kind));
}

static void mask__all_targets__hides_urls_tokens_and_secrets(void)
{
    static const char text[] =
        "DISCORD_WEBHOOK_URL=https://discord.com/api/webhooks/123456789/canary-token-0123456789\n"
        "CUSTOM_WEBHOOK_URL=https://c/canary?key=canary-key-0123456789&x=y\n"
        "CUSTOM_WEBHOOK_SECRET=canary-secret\n";
    static const struct {
        const char *text, *masked;
    } cases[] = {
        {"https://discord.com/api/webhooks/123456789/canary-token-0123456789", "***"},
        {"> POST /api/webhooks/123456789/canary-token-0123456789 HTTP/2",
         "> POST /api/webhooks/123456789/*** HTTP/2"},
        {"https://c/canary?key=canary-key-0123456789&x=y", "***"},
        {"?key=canary-key-0123456789", "?key=***"},
        {"'canary-secret'", "'***'"},
        {"discord.com webhooks 123456789 c x", "discord.com webhooks 123456789 c x"},
    };
    struct diagnostics *errors = diagnostics_new();
    GPtrArray *entries = dotenv_parse(text, strlen(text), ".env", errors);
    GPtrArray *targets = targets_from_entries(entries, ".env", errors, NULL);
    struct mask *mask = targets_mask(targets);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *masked = mask_apply(mask, cases[i].text, strlen(cases[i].text), NULL);
        g_assert_cmpstr(masked, ==, cases[i].masked);
    }
    g_assert_nonnull(targets_find(targets, TARGET_CUSTOM));
    g_assert_null(targets_find(targets, TARGET_SLACK));
    mask_free(mask);
    g_ptr_array_unref(targets);
    g_ptr_array_unref(entries);
    diagnostics_free(errors);
}

/* --------------------------------------------------------------------- files */

static void write_file(const char *directory, const char *name, const char *text, mode_t mode)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(chmod(path, mode), ==, 0);
}

/* The names of the hosts, or the errors with the directories' names left out. */
static char *load(const char *directory, const char *other)
{
    struct diagnostics *errors = diagnostics_new();
    GPtrArray *targets = targets_load(directory, errors, NULL);
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; targets && i < targets->len; i++) {
        g_autofree char *host = target_host(g_ptr_array_index(targets, i));
        g_string_append_printf(out, "%s\n", host);
    }
    if (targets) {
        g_ptr_array_unref(targets);
    } else {
        g_assert_true(diagnostics_any(errors));
        g_autofree char *text = diagnostics_format(errors);
        g_string_append(out, text);
        g_string_replace(out, directory, "CONFIG", 0);
        g_string_replace(out, other, "CREDENTIALS", 0);
    }
    diagnostics_free(errors);
    return g_string_free(out, FALSE);
}

static void assert_load(const char *directory, const char *other, const char *expected)
{
    g_autofree char *found = load(directory, other);
    g_assert_cmpstr(found, ==, expected);
}

static void load__files__the_credential_goes_before_the_config_directory(void)
{
    g_autofree char *config = g_dir_make_tmp("targets-XXXXXX", NULL);
    g_autofree char *credentials = g_dir_make_tmp("targets-XXXXXX", NULL);
    g_unsetenv("CREDENTIALS_DIRECTORY");
    assert_load(config, credentials, "");
    assert_load("/nonexistent/phantom_ci", credentials, "");
    write_file(config, ".env", "SLACK_WEBHOOK_URL=https://from-config/\n", 0600);
    assert_load(config, credentials, "from-config\n");
    g_setenv("CREDENTIALS_DIRECTORY", credentials, TRUE);
    assert_load(config, credentials, "from-config\n");
    write_file(credentials, "phantom_ci.env", "SLACK_WEBHOOK_URL=https://from-systemd/\n", 0440);
    assert_load(config, credentials, "from-systemd\n");
    /* A credential that is there and bad is not passed over in silence. */
    write_file(credentials, "phantom_ci.env", "SLACK_WEBHOOK_URL\n", 0440);
    assert_load(config, credentials,
                "CREDENTIALS/phantom_ci.env:1:18: expected \"=\" after the key, as in KEY=value\n");
    write_file(credentials, "phantom_ci.env", "\n", 0440);
    assert_load(config, credentials, "");
    g_setenv("CREDENTIALS_DIRECTORY", "not/absolute", TRUE);
    assert_load(config, credentials, "from-config\n");
    g_unsetenv("CREDENTIALS_DIRECTORY");
    write_file(config, ".env", "SLACK_WEBHOOK_URL=https://x/\n", 0640);
    assert_load(config, credentials,
                "CONFIG/.env: holds secrets and may be read by others (mode 640); mend it with: "
                "chmod 600 'CONFIG/.env'\n");
    g_assert_true(file_remove_tree_at_path(config, NULL));
    g_assert_true(file_remove_tree_at_path(credentials, NULL));
}

static void load__shipped_example__configures_nothing_and_is_good(void)
{
    const char *source = g_getenv("PHANTOM_CI_SOURCE_DIR");
    g_autofree char *path = g_build_filename(source ? source : ".", "examples", "env", NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_autofree char *found = read_text(text);
    g_assert_cmpstr(found, ==, "");
    /* With its examples put to use, each of them is good. */
    GString *used = g_string_new(text);
    g_assert_cmpuint(g_string_replace(used, "\n# DISCORD_", "\nDISCORD_", 1), ==, 1);
    g_assert_cmpuint(g_string_replace(used, "\n# SLACK_", "\nSLACK_", 1), ==, 1);
    g_assert_cmpuint(g_string_replace(used, "\n# CUSTOM_WEBHOOK_URL", "\nCUSTOM_WEBHOOK_URL", 1),
                     ==, 1);
    g_assert_cmpuint(
        g_string_replace(used, "\n# CUSTOM_WEBHOOK_SECRET", "\nCUSTOM_WEBHOOK_SECRET", 1), ==, 1);
    g_autofree char *all = read_text(used->str);
    g_assert_true(g_str_has_prefix(all, "discord discord.com https://"));
    g_assert_nonnull(strstr(all, "\nslack hooks.slack.com https://"));
    g_assert_nonnull(strstr(all, "\ncustom "));
    g_assert_null(strstr(all, "warning"));
    g_string_free(used, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/target/entries__keys__give_targets_in_a_fixed_order",
                    entries__keys__give_targets_in_a_fixed_order);
    g_test_add_func("/target/entries__near_misses__are_errors_with_the_right_key",
                    entries__near_misses__are_errors_with_the_right_key);
    g_test_add_func("/target/url__good_ones__are_accepted_and_show_their_host",
                    url__good_ones__are_accepted_and_show_their_host);
    g_test_add_func("/target/url__bad_ones__are_refused_without_being_quoted",
                    url__bad_ones__are_refused_without_being_quoted);
    g_test_add_func("/target/url__http_to_another_machine__is_accepted_with_a_warning",
                    url__http_to_another_machine__is_accepted_with_a_warning);
    g_test_add_func("/target/url_and_secret__limits_of_length__are_exact",
                    url_and_secret__limits_of_length__are_exact);
    g_test_add_func("/target/kind__names__are_read_back", kind__names__are_read_back);
    g_test_add_func("/target/mask__all_targets__hides_urls_tokens_and_secrets",
                    mask__all_targets__hides_urls_tokens_and_secrets);
    g_test_add_func("/target/load__files__the_credential_goes_before_the_config_directory",
                    load__files__the_credential_goes_before_the_config_directory);
    g_test_add_func("/target/load__shipped_example__configures_nothing_and_is_good",
                    load__shipped_example__configures_nothing_and_is_good);
    return g_test_run();
}
