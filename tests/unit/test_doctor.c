/* What `phantom_ci doctor` judges by: pure parts, and the reading of a database that stays as it
 * is. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "commands/doctor_filesystem.h"
#include "git/command.h"
#include "git/ssh_key.h"
#include "git/version.h"
#include "sandbox/abilities.h"
#include "store_fixture.h"

/* --------------------------------------------------------- versions of git */

static void git_version__forms_that_are_seen__are_parsed(void)
{
    static const struct {
        const char *text;
        unsigned major, minor, patch;
        bool candidate;
    } cases[] = {
        {"git version 2.39.5", 2, 39, 5, false},
        {"git version 2.39.5\n", 2, 39, 5, false},
        {"git version 2.39.5 (Apple Git-154)", 2, 39, 5, false},
        {"git version 2.45.2.windows.1", 2, 45, 2, false},
        {"git version 2.43", 2, 43, 0, false},
        {"git version 2.50.0-rc1", 2, 50, 0, true},
        {"git version 2.50.0.rc1", 2, 50, 0, true},
        {"git version 2.52.0.123.gabcdef0", 2, 52, 0, false},
        {"git version 10.0.12+dfsg", 10, 0, 12, false},
        {"2.43.7", 2, 43, 7, false},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct git_version version;
        if (!git_version_parse(cases[i].text, &version)) {
            g_error("refused: %s", cases[i].text);
        }
        g_assert_cmpuint(version.major, ==, cases[i].major);
        g_assert_cmpuint(version.minor, ==, cases[i].minor);
        g_assert_cmpuint(version.patch, ==, cases[i].patch);
        g_assert_cmpint(version.candidate, ==, cases[i].candidate);
    }
}

static void git_version__anything_else__is_refused(void)
{
    static const char *const cases[] = {
        "",        "git",    "git version",  "git version two",    "2",        "2.", "2.x", ".2.3",
        "2.43abc", "-2.3.4", "git version ", "hub version 2.14.2", "2.9999999"};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct git_version version;
        if (git_version_parse(cases[i], &version)) {
            g_error("accepted: %s", cases[i]);
        }
    }
}

static void git_version__order__counts_numbers_and_puts_candidates_first(void)
{
    static const char *const rising[] = {"1.9.10", "2.0.0",  "2.9.9",   "2.10.0", "2.43.0-rc1",
                                         "2.43.0", "2.43.6", "2.43.10", "3.0.0"};
    for (unsigned i = 0; i < G_N_ELEMENTS(rising); i++) {
        for (unsigned j = 0; j < G_N_ELEMENTS(rising); j++) {
            struct git_version left;
            struct git_version right;
            g_assert_true(git_version_parse(rising[i], &left));
            g_assert_true(git_version_parse(rising[j], &right));
            int order = git_version_compare(&left, &right);
            g_assert_cmpint(order < 0, ==, i < j);
            g_assert_cmpint(order > 0, ==, i > j);
        }
    }
}

static void git_version__security_releases__are_judged_by_their_own_line(void)
{
    static const struct {
        const char *version, *lacks;
    } cases[] = {
        {"2.39.5", "2.43.7"}, {"2.43.6", "2.43.7"}, {"2.43.7", NULL},         {"2.43.8", NULL},
        {"2.44.3", "2.44.4"}, {"2.44.4", NULL},     {"2.45.3", "2.45.4"},     {"2.45.4", NULL},
        {"2.46.3", "2.46.4"}, {"2.46.4", NULL},     {"2.47.2", "2.47.3"},     {"2.47.3", NULL},
        {"2.48.1", "2.48.2"}, {"2.48.2", NULL},     {"2.49.0", "2.49.1"},     {"2.49.1", NULL},
        {"2.50.0", "2.50.1"}, {"2.50.1", NULL},     {"2.50.1-rc0", "2.50.1"}, {"2.51.0", NULL},
        {"2.51.0-rc0", NULL}, {"3.0.0", NULL},      {"1.8.3", "2.43.7"},      {"2.4.12", "2.43.7"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct git_version version;
        g_assert_true(git_version_parse(cases[i].version, &version));
        const char *lacks = git_version_lacks(&version);
        if (g_strcmp0(lacks, cases[i].lacks) != 0) {
            g_error("%s: lacks %s, expected %s", cases[i].version, lacks ? lacks : "nothing",
                    cases[i].lacks ? cases[i].lacks : "nothing");
        }
    }
}

/* ---------------------------------------------------------- explanations */

static void explanation__hint_of_ours__is_taken_apart(void)
{
    struct git_remote remote = {.url = "ssh://git@host/x"};
    g_autofree char *message =
        git_explain_failure("git@host: Permission denied (publickey).\r\n", &remote);
    g_autofree char *what = NULL;
    g_autofree char *mend = NULL;
    git_explain_split(message, &what, &mend);
    g_assert_cmpstr(what, ==, "git@host: Permission denied (publickey).");
    g_assert_true(g_str_has_prefix(mend, "the server accepts none of the keys"));
}

static void explanation__unknown_host_key__ends_in_the_command(void)
{
    struct git_remote remote = {.url = "ssh://git@host:2222/x"};
    g_autofree char *message = git_explain_failure(
        "No ED25519 host key is known for [host]:2222 and you have requested strict checking.\r\n"
        "Host key verification failed.\r\n",
        &remote);
    g_autofree char *what = NULL;
    g_autofree char *mend = NULL;
    git_explain_split(message, &what, &mend);
    g_assert_cmpstr(what, ==, "the host key of [host]:2222 is not known");
    g_assert_nonnull(strstr(mend, "ssh -o StrictHostKeyChecking=accept-new"));
}

static void explanation__parentheses_of_git__are_no_hint(void)
{
    g_autofree char *what = NULL;
    g_autofree char *mend = NULL;
    git_explain_split("fatal: something else (as it is)", &what, &mend);
    g_assert_cmpstr(what, ==, "fatal: something else (as it is)");
    g_assert_null(mend);
}

/* ------------------------------------------------------------------- keys */

static char *make_key(const char *directory, const char *name, const char *passphrase,
                      const char *format)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    const char *argv[] = {"ssh-keygen", "-q",       "-t", "ecdsa", "-m", format,
                          "-N",         passphrase, "-f", path,    NULL};
    int status = -1;
    g_autoptr(GError) error = NULL;
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
                 &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    return g_steal_pointer(&path);
}

static enum ssh_key_kind kind_of_file(const char *path)
{
    char *bytes = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    enum ssh_key_kind kind = ssh_key_kind(bytes, length);
    /* No prefix of it is read beyond its end. */
    for (gsize cut = 0; cut < length; cut++) {
        g_autofree char *part = g_memdup2(bytes, cut + 1);
        ssh_key_kind(part, cut);
    }
    g_free(bytes);
    return kind;
}

static void ssh_key__each_format_of_ssh_keygen__is_told_apart(void)
{
    static const char *const formats[] = {"RFC4716", "PEM", "PKCS8"};
    struct fixture fixture;
    fixture_init(&fixture);
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree char *plain_name = g_strconcat("plain-", formats[i], NULL);
        g_autofree char *locked_name = g_strconcat("locked-", formats[i], NULL);
        g_autofree char *plain = make_key(fixture.directory, plain_name, "", formats[i]);
        g_autofree char *locked = make_key(fixture.directory, locked_name, "secret", formats[i]);
        g_autofree char *public_half = g_strconcat(plain, ".pub", NULL);
        g_assert_cmpint(kind_of_file(plain), ==, SSH_KEY_PLAIN);
        g_assert_cmpint(kind_of_file(locked), ==, SSH_KEY_ENCRYPTED);
        g_assert_cmpint(kind_of_file(public_half), ==, SSH_KEY_PUBLIC);
    }
    fixture_close(&fixture);
}

static void ssh_key__anything_else__is_unknown(void)
{
    static const char *const cases[] = {
        "", "hello", "-----BEGIN OPENSSH PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(ssh_key_kind(cases[i], strlen(cases[i])), ==, SSH_KEY_UNKNOWN);
    }
}

/* ------------------------------------------------------------ file systems */

static void filesystem__network_ones__are_named(void)
{
    g_assert_cmpstr(doctor_filesystem_trouble(0x6969), ==, "NFS");
    g_assert_cmpstr(doctor_filesystem_trouble(0xff534d42), ==, "CIFS");
    /* as a signed 32-bit number reaches a 64-bit field */
    g_assert_cmpstr(doctor_filesystem_trouble(UINT64_C(0xffffffffff534d42)), ==, "CIFS");
    g_assert_cmpstr(doctor_filesystem_trouble(0x01021997), ==, "9p");
    g_assert_true(g_str_has_prefix(doctor_filesystem_trouble(0x65735546), "FUSE"));
}

static void filesystem__local_ones__are_well(void)
{
    /* ext4, tmpfs, xfs, btrfs, overlayfs, zfs */
    static const uint64_t types[] = {0xef53,     0x01021994, 0x58465342,
                                     0x9123683e, 0x794c7630, 0x2fc12fc1};
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_assert_null(doctor_filesystem_trouble(types[i]));
    }
}

static void room__at_its_borders__is_judged(void)
{
    const uint64_t mib = UINT64_C(1) << 20;
    const uint64_t gib = UINT64_C(1) << 30;
    g_assert_cmpint(doctor_judge_bytes(gib, 10 * gib), ==, DOCTOR_ROOM_ENOUGH);
    g_assert_cmpint(doctor_judge_bytes(gib - 1, 10 * gib), ==, DOCTOR_ROOM_LOW);
    g_assert_cmpint(doctor_judge_bytes(5 * gib, 100 * gib), ==, DOCTOR_ROOM_ENOUGH);
    g_assert_cmpint(doctor_judge_bytes(5 * gib - 1, 100 * gib), ==, DOCTOR_ROOM_LOW);
    g_assert_cmpint(doctor_judge_bytes(64 * mib, gib), ==, DOCTOR_ROOM_LOW);
    g_assert_cmpint(doctor_judge_bytes(64 * mib - 1, gib), ==, DOCTOR_ROOM_NONE);
    g_assert_cmpint(doctor_judge_bytes(0, 0), ==, DOCTOR_ROOM_ENOUGH);
    g_assert_cmpint(doctor_judge_inodes(0, 0), ==, DOCTOR_ROOM_ENOUGH);
    g_assert_cmpint(doctor_judge_inodes(1000, 20000), ==, DOCTOR_ROOM_ENOUGH);
    g_assert_cmpint(doctor_judge_inodes(1000, 20020), ==, DOCTOR_ROOM_LOW);
    g_assert_cmpint(doctor_judge_inodes(999, 1000), ==, DOCTOR_ROOM_NONE);
}

/* --------------------------------------------------------------- abilities */

static void user_namespace__tried__leaves_this_process_where_it_was(void)
{
    g_autofree char *before = g_file_read_link("/proc/self/ns/user", NULL);
    int errnum = abilities_try_user_namespace(5000);
    g_autofree char *after = g_file_read_link("/proc/self/ns/user", NULL);
    g_assert_cmpint(errnum, !=, ETIMEDOUT);
    g_assert_cmpstr(before, ==, after);
}

/* ------------------------------------------------- a database that is read */

static int compare_lines(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Names and contents of all files of the directory. */
static char *picture_of(const char *directory)
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    const char *name;
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        char *bytes = NULL;
        gsize length = 0;
        g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
        g_autofree char *hash =
            g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)bytes, length);
        g_ptr_array_add(lines, g_strdup_printf("%s %s", name, hash));
        g_free(bytes);
    }
    g_ptr_array_sort(lines, compare_lines);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("\n", (char **)lines->pdata);
}

static void store_to_read__database_at_rest__stays_as_it_is(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture);
    enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    g_clear_pointer(&fixture.store, store_close);
    g_autofree char *before = picture_of(fixture.directory);
    struct store *store = store_open_to_read(fixture.path, &error);
    g_assert_no_error(error);
    g_assert_true(store_check_within(store, 5000, &error));
    int64_t newest_ms = 0;
    g_assert_true(store_newest_ms(store, &newest_ms, &error));
    g_assert_cmpint(newest_ms, ==, 1000);
    g_autofree char *during = picture_of(fixture.directory);
    store_close(store);
    g_autofree char *after = picture_of(fixture.directory);
    g_assert_cmpstr(before, ==, during);
    g_assert_cmpstr(before, ==, after);
    fixture_close(&fixture);
}

static void store_to_read__database_in_use__sees_what_was_committed_last(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture);
    int64_t id = enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_PUSH);
    struct store *store = store_open_to_read(fixture.path, &error);
    g_assert_no_error(error);
    g_assert_true(claim(fixture.store, id));
    int64_t newest_ms = 0;
    g_assert_true(store_newest_ms(store, &newest_ms, &error));
    g_assert_cmpint(newest_ms, ==, 2000);
    store_close(store);
    /* the other one goes on */
    g_assert_true(finish(fixture.store, id, JOB_SUCCESS, NULL));
    fixture_close(&fixture);
}

static void store_to_read__nothing_there__is_not_found_and_not_made(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    fixture_init(&fixture);
    g_assert_null(store_open_to_read(fixture.path, &error));
    assert_code(&error, ERROR_NOT_FOUND);
    g_assert_false(g_file_test(fixture.path, G_FILE_TEST_EXISTS));
    fixture_close(&fixture);
}

static void store_to_read__writing__is_refused(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture);
    g_clear_pointer(&fixture.store, store_close);
    struct store *store = store_open_to_read(fixture.path, &error);
    g_assert_no_error(error);
    g_assert_false(store_repo_set_paused(store, "app", true, &error));
    assert_code(&error, ERROR_DENIED);
    store_close(store);
    fixture_close(&fixture);
}

static void store_check__time_is_over__is_a_limit_and_no_damage(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture);
    g_assert_true(store_begin(fixture.store, &error));
    for (int i = 0; i < 2000; i++) {
        enqueue(fixture.store, "main", SHA_A, NULL, JOB_TRIGGER_RUN);
    }
    g_assert_true(store_commit(fixture.store, &error));
    g_assert_false(store_check_within(fixture.store, 0, &error));
    assert_code(&error, ERROR_LIMIT);
    /* and nothing of it stays: the same question without haste */
    g_assert_true(store_check_within(fixture.store, 60000, &error));
    g_assert_no_error(error);
    fixture_close(&fixture);
}

static void store_newest__each_kind_of_row__counts(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    int64_t newest_ms = -1;
    fixture_open(&fixture);
    g_assert_true(store_newest_ms(fixture.store, &newest_ms, &error));
    g_assert_cmpint(newest_ms, ==, 0);
    struct branch branch = {
        .repo = (char *)"app", .name = (char *)"main", .tip = (char *)SHA_A, .seen_ms = 500};
    g_assert_true(store_branch_put(fixture.store, &branch, &error));
    g_assert_true(store_newest_ms(fixture.store, &newest_ms, &error));
    g_assert_cmpint(newest_ms, ==, 500);
    struct decision decision = {.repo = (char *)"app",
                                .branch = (char *)"main",
                                .at_ms = 700,
                                .kind = (char *)"baseline",
                                .detail = (char *)"x"};
    g_assert_true(store_decision_put(fixture.store, &decision, &error));
    g_assert_true(store_newest_ms(fixture.store, &newest_ms, &error));
    g_assert_cmpint(newest_ms, ==, 700);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/doctor/" #name, name)
    ADD(git_version__forms_that_are_seen__are_parsed);
    ADD(git_version__anything_else__is_refused);
    ADD(git_version__order__counts_numbers_and_puts_candidates_first);
    ADD(git_version__security_releases__are_judged_by_their_own_line);
    ADD(explanation__hint_of_ours__is_taken_apart);
    ADD(explanation__unknown_host_key__ends_in_the_command);
    ADD(explanation__parentheses_of_git__are_no_hint);
    ADD(ssh_key__each_format_of_ssh_keygen__is_told_apart);
    ADD(ssh_key__anything_else__is_unknown);
    ADD(filesystem__network_ones__are_named);
    ADD(filesystem__local_ones__are_well);
    ADD(room__at_its_borders__is_judged);
    ADD(user_namespace__tried__leaves_this_process_where_it_was);
    ADD(store_to_read__database_at_rest__stays_as_it_is);
    ADD(store_to_read__database_in_use__sees_what_was_committed_last);
    ADD(store_to_read__nothing_there__is_not_found_and_not_made);
    ADD(store_to_read__writing__is_refused);
    ADD(store_check__time_is_over__is_a_limit_and_no_damage);
    ADD(store_newest__each_kind_of_row__counts);
#undef ADD
    return g_test_run();
}
