#include "git_fixture.h"
#include "ssh/address.h"
#include "ssh/command.h"

static void parse_good(const char *url, const char *options, struct ssh_address *address)
{
    g_autoptr(GError) error = NULL;
    if (!ssh_address_parse(url, options, address, &error)) {
        g_error("%s: %s", url, error->message);
    }
}

static void assert_parts(const char *url, const char *destination, const char *port,
                         const char *command)
{
    struct ssh_address address;
    parse_good(url, "", &address);
    g_assert_cmpstr(address.destination, ==, destination);
    g_assert_cmpstr(address.port, ==, port);
    g_assert_cmpstr(address.command, ==, command);
    g_assert_null(address.key_path);
    ssh_address_clear(&address);
    ssh_address_clear(&address);
}

static void parse__both_forms__have_their_parts(void)
{
    assert_parts("ssh://host/srv/app.git", "host", NULL, "git-upload-pack '/srv/app.git'");
    assert_parts("ssh://git@Host.example:2222/a%20b.git", "git@Host.example", "2222",
                 "git-upload-pack '/a b.git'");
    assert_parts("git@host:it's!", "git@host", NULL, "git-upload-pack 'it'\\''s'\\!''");
}

/* What git hands to ssh is the measure. */
static const char *const urls[] = {
    "ssh://host/srv/app.git",
    "ssh://git@host/srv/app.git",
    "ssh://git@MixedCase.example:2222/srv/app.git",
    "ssh://host/~/app.git",
    "ssh://host/~ann/app.git",
    "ssh://host/a~b",
    "ssh://host/it's%20here!.git",
    "ssh://host/100%25/%zz/%4",
    "ssh://host/a%2fb%c3%a9",
    "ssh://host/$(touch%20x)`y`\"z\"\\",
    "ssh://[::1]/srv/app.git",
    "ssh://git@[fe80::1]:22/srv/app.git",
    "ssh://[cafe:2222]/srv/app.git",
    "ssh://[cafe:2222]:33/srv/app.git",
    "host:app.git",
    "git@host:app.git",
    "git@host:/srv/app.git",
    "git@host:~ann/app.git",
    "git@host:/~ann/app.git",
    "host:a~b",
    "host:it's!",
    "host:100%25",
    "host:a:b/c",
    "[::1]:app.git",
    "git@[::1]:app.git",
    "[cafe:2222]:app.git",
    "git@[cafe:2222]:app.git",
};

static void assert_as_git(struct fixture *fixture, const char *url)
{
    g_autofree char *record = path_in(fixture->root, "record");
    g_unlink(record);
    g_setenv("RECORD", record, TRUE);
    int status = 0;
    const char *argv[] = {"git", "ls-remote", "--", url, NULL};
    g_free(run_in(fixture->root, argv, &status));
    g_autofree char *text = read_text(fixture->root, "record");
    struct ssh_address address;
    parse_good(url, "", &address);
    g_autofree char *port = address.port ? g_strdup_printf("-p\n%s\n", address.port) : g_strdup("");
    g_autofree char *expected = g_strdup_printf("-o\nSendEnv=GIT_PROTOCOL\n%s%s\n%s\n", port,
                                                address.destination, address.command);
    if (strcmp(text, expected) != 0) {
        g_error("%s: git says\n%sand we\n%s", url, text, expected);
    }
    ssh_address_clear(&address);
}

static void parse__every_form__is_what_git_hands_to_ssh(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    char *old =
        fake_program(&fixture, "recording-ssh", "printf '%s\\n' \"$@\" >\"$RECORD\"; exit 1");
    g_setenv("GIT_SSH_COMMAND", "recording-ssh", TRUE);
    g_setenv("GIT_SSH_VARIANT", "ssh", TRUE);
    for (unsigned i = 0; i < G_N_ELEMENTS(urls); i++) {
        assert_as_git(&fixture, urls[i]);
    }
    g_unsetenv("GIT_SSH_COMMAND");
    g_unsetenv("GIT_SSH_VARIANT");
    restore_path(old);
    fixture_clear(&fixture);
}

static void parse__what_is_no_ssh_address__is_refused(void)
{
    static const char *const wrong[] = {
        "https://host/app.git",
        "/srv/app.git",
        "file:///srv/app.git",
        "git://host/app.git",
        "ssh://host",
        "ssh://-oProxy/app",
        "-x:app",
        "host:-app",
        "ssh://host/a%0ab",
        "ssh://u:p@host/a.git",
        "ext::sh -c x",
        "ssh://ho%73t/app.git",
        "ssh://host:0/app.git",
        "ssh://host:/app.git",
        "",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        struct ssh_address address;
        GError *error = NULL;
        if (ssh_address_parse(wrong[i], "", &address, &error)) {
            g_error("%s is accepted", wrong[i]);
        }
        assert_error_code(error, ERROR_INVALID);
        g_assert_null(address.destination);
        g_clear_error(&error);
    }
}

static void options__key__is_part_of_the_connection(void)
{
    struct ssh_address one, same, other, none;
    parse_good("git@host:a", "key=/k/one", &one);
    parse_good("ssh://git@host/b", "key=/k/one\n", &same);
    parse_good("git@host:a", "key=/k/other", &other);
    parse_good("git@host:a", "", &none);
    g_assert_cmpstr(one.key_path, ==, "/k/one");
    g_assert_cmpstr(one.connection, ==, same.connection);
    g_assert_cmpstr(one.connection, !=, other.connection);
    g_assert_cmpstr(one.connection, !=, none.connection);
    ssh_address_clear(&one);
    ssh_address_clear(&same);
    ssh_address_clear(&other);
    ssh_address_clear(&none);
}

static void options__host_user_and_port__are_part_of_the_connection(void)
{
    static const char *const different[] = {"a@host:x", "b@host:x", "host:x", "ssh://a@host:22/x",
                                            "a@other:x"};
    for (unsigned i = 0; i < G_N_ELEMENTS(different); i++) {
        for (unsigned j = 0; j < i; j++) {
            struct ssh_address one, other;
            parse_good(different[i], "", &one);
            parse_good(different[j], "", &other);
            g_assert_cmpstr(one.connection, !=, other.connection);
            ssh_address_clear(&one);
            ssh_address_clear(&other);
        }
    }
}

static void options__unknown_empty_or_twice__are_refused_by_name(void)
{
    static const char *const wrong[] = {"proxy=http://secret", "key=", "key=/a\nkey=/b",
                                        "ke\x1by=1"};
    static const char *const named[] = {"\"proxy\"", "\"key\"", "\"key\"", "\"ke\\x1by\""};
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        struct ssh_address address;
        GError *error = NULL;
        g_assert_false(ssh_address_parse("host:a", wrong[i], &address, &error));
        assert_error_code(error, ERROR_INVALID);
        assert_contains(error->message, named[i]);
        g_assert_null(strstr(error->message, "secret"));
        g_clear_error(&error);
    }
}

static bool has_option(char **argv, const char *option)
{
    for (; *argv; argv++) {
        if (strcmp(*argv, "-o") == 0 && argv[1] && strcmp(argv[1], option) == 0) {
            return true;
        }
    }
    return false;
}

static void command__master__can_do_nothing_but_share_its_connection(void)
{
    static const char *const options[] = {
        "BatchMode=yes",           "StrictHostKeyChecking=yes",
        "ClearAllForwardings=yes", "ForwardAgent=no",
        "ForwardX11=no",           "PermitLocalCommand=no",
        "RemoteCommand=none",      "ControlPersist=no",
        "SendEnv=GIT_PROTOCOL",    "IdentitiesOnly=yes",
    };
    struct ssh_address address;
    parse_good("ssh://git@host:22/app", "key=/k/100%", &address);
    g_auto(GStrv) argv = ssh_master_argv(&address, "/run/50%/1");
    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        g_assert_true(has_option(argv, options[i]));
    }
    const char *const *words = (const char *const *)argv;
    g_assert_true(g_strv_contains(words, "-M") && g_strv_contains(words, "-N"));
    g_assert_true(g_strv_contains(words, "/k/100%%") && g_strv_contains(words, "/run/50%%/1"));
    g_assert_cmpstr(argv[g_strv_length(argv) - 2], ==, "--");
    g_assert_cmpstr(argv[g_strv_length(argv) - 1], ==, "git@host");
    ssh_address_clear(&address);
}

static void command__session__runs_the_command_and_masters_nothing(void)
{
    struct ssh_address address;
    parse_good("host:app", "", &address);
    g_auto(GStrv) alone = ssh_session_argv(&address, NULL);
    g_auto(GStrv) shared = ssh_session_argv(&address, "/run/1");
    g_assert_true(has_option(alone, "ControlMaster=no") && has_option(shared, "ControlMaster=no"));
    g_assert_true(g_strv_contains((const char *const *)alone, "none"));
    g_assert_true(g_strv_contains((const char *const *)shared, "/run/1"));
    g_assert_false(g_strv_contains((const char *const *)alone, "-p"));
    g_assert_cmpstr(alone[g_strv_length(alone) - 1], ==, "git-upload-pack 'app'");
    ssh_address_clear(&address);
}

static void environment__is_made_from_scratch(void)
{
    g_setenv("LD_PRELOAD", "", TRUE);
    g_setenv("GIT_SSH_COMMAND", "touch x", TRUE);
    g_setenv("SSH_ASKPASS", "/usr/bin/x11-ssh-askpass", TRUE);
    g_auto(GStrv) environment = ssh_environment();
    g_assert_null(g_environ_getenv(environment, "LD_PRELOAD"));
    g_assert_null(g_environ_getenv(environment, "GIT_SSH_COMMAND"));
    g_assert_null(g_environ_getenv(environment, "DISPLAY"));
    g_assert_cmpstr(g_environ_getenv(environment, "SSH_ASKPASS"), ==, "");
    g_assert_cmpstr(g_environ_getenv(environment, "SSH_ASKPASS_REQUIRE"), ==, "never");
    g_assert_cmpstr(g_environ_getenv(environment, "GIT_PROTOCOL"), ==, "version=2");
    g_assert_nonnull(g_environ_getenv(environment, "PATH"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/ssh_address/" #name, name)
    ADD(parse__both_forms__have_their_parts);
    ADD(parse__every_form__is_what_git_hands_to_ssh);
    ADD(parse__what_is_no_ssh_address__is_refused);
    ADD(options__key__is_part_of_the_connection);
    ADD(options__host_user_and_port__are_part_of_the_connection);
    ADD(options__unknown_empty_or_twice__are_refused_by_name);
    ADD(command__master__can_do_nothing_but_share_its_connection);
    ADD(command__session__runs_the_command_and_masters_nothing);
    ADD(environment__is_made_from_scratch);
    return g_test_run();
}
