/* A helper process that says what is prepared for it: the bytes of a file, and then nothing. */
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "git/refset.h"
#include "poll/helper.h"

#define TIP "1111111111111111111111111111111111111111"

enum { LIMIT_MS = 60 * 1000 };

struct site {
    char *directory;
    GByteArray *answer;
    struct helper *helper;
    GString *heard; /* what was called back, as words */
};

static void answered(void *owner, const struct net_looked *looked, GHashTable *refs, void *data)
{
    struct site *site = data;
    g_string_append_printf(site->heard, "[%s %s", (const char *)owner,
                           net_look_outcome_name(looked->outcome));
    if (refs) {
        g_string_append_printf(site->heard, " %u refs", g_hash_table_size(refs));
    }
    g_string_append_c(site->heard, ']');
}

static void lost(void *owner, const char *why, void *data)
{
    struct site *site = data;
    g_assert_true(g_str_has_prefix(why, "helper "));
    g_string_append_printf(site->heard, "[%s lost]", (const char *)owner);
}

static void set_up(struct site *site)
{
    const struct helper_setup setup = {
        .program = "helper", .answered = answered, .lost = lost, .data = site};
    site->directory = g_dir_make_tmp("phantom_ci-XXXXXX", NULL);
    site->answer = g_byte_array_new();
    site->heard = g_string_new(NULL);
    site->helper = helper_new(&setup);
    g_setenv("PHANTOM_CI_LIBEXEC_DIR", site->directory, TRUE);
}

static void tear_down(struct site *site)
{
    helper_free(site->helper);
    g_assert_true(file_remove_tree_at_path(site->directory, NULL));
    g_free(site->directory);
    g_byte_array_unref(site->answer);
    g_string_free(site->heard, TRUE);
}

/* Makes the program, which answers with what was prepared and then does `rest`. */
static void make_program(const struct site *site, const char *rest)
{
    g_autofree char *answer = g_build_filename(site->directory, "answer", NULL);
    g_autofree char *program = g_build_filename(site->directory, "helper", NULL);
    g_autofree char *script = g_strdup_printf("#!/bin/sh\n/bin/cat %s\n%s\n", answer, rest);
    g_assert_true(g_file_set_contents(answer, (const char *)site->answer->data,
                                      (gssize)site->answer->len, NULL));
    g_assert_true(g_file_set_contents(program, script, -1, NULL));
    g_assert_cmpint(g_chmod(program, 0700), ==, 0);
}

static bool begin(struct site *site, const char *owner, const char *known)
{
    struct net_look look = {.url = (char *)"https://example.org/app.git",
                            .wanted = (char *)"refs/heads/main",
                            .known = (char *)known,
                            .timeout_ms = 30000};
    return helper_begin(site->helper, (void *)owner, &look, NULL);
}

/* Until something was called back. */
static void wait(struct site *site, const char *expected)
{
    int64_t end_ms = clock_monotonic_ms() + LIMIT_MS;
    while (site->heard->len == 0 && clock_monotonic_ms() < end_ms) {
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
        helper_add_fds(site->helper, fds);
        struct pollfd *entries = (struct pollfd *)(void *)fds->data;
        if (poll(entries, fds->len, 1000) > 0) {
            helper_handle(site->helper, entries, fds->len);
        }
    }
    g_assert_cmpstr(site->heard->str, ==, expected);
    g_string_truncate(site->heard, 0);
}

static GHashTable *one_ref(void)
{
    GHashTable *refs = refset_new();
    g_hash_table_insert(refs, g_strdup("refs/heads/main"), g_strdup(TIP));
    return refs;
}

static void add_refs(struct site *site, const char *id)
{
    g_autoptr(GHashTable) refs = one_ref();
    net_refs_encode_table(site->answer, id, refs);
}

static void add_looked(struct site *site, const char *id, enum net_look_outcome outcome,
                       bool right_digest)
{
    g_autoptr(GHashTable) refs = right_digest ? one_ref() : refset_new();
    g_autofree char *digest = refset_digest(refs);
    bool good = outcome == NET_LOOK_SAME || outcome == NET_LOOK_REFS;
    struct net_looked looked = NET_LOOKED_INIT;
    looked.id = (char *)id;
    looked.outcome = outcome;
    looked.digest = good ? digest : NULL;
    looked.error = good ? NULL : (char *)"no";
    net_looked_encode(site->answer, &looked);
}

static void answer__refs_and_others__reach_their_owner(void)
{
    struct site site;
    set_up(&site);
    add_looked(&site, "2", NET_LOOK_ABSENT, false);
    add_refs(&site, "1");
    add_looked(&site, "1", NET_LOOK_REFS, true);
    make_program(&site, "exec /bin/cat");
    g_assert_true(begin(&site, "one", NULL));
    g_assert_true(begin(&site, "two", NULL));
    wait(&site, "[two absent][one refs 1 refs]");
    tear_down(&site);
}

static void answer__same__only_when_something_was_known(void)
{
    g_autofree char *known = g_strnfill(REFSET_DIGEST_LENGTH, 'a');
    struct site site;
    set_up(&site);
    add_looked(&site, "1", NET_LOOK_SAME, true);
    make_program(&site, "exec /bin/cat");
    g_assert_true(begin(&site, "one", known));
    wait(&site, "[one same]");
    tear_down(&site);
    set_up(&site);
    add_looked(&site, "1", NET_LOOK_SAME, true);
    make_program(&site, "exec /bin/cat");
    g_assert_true(begin(&site, "one", NULL));
    wait(&site, "[one lost]");
    tear_down(&site);
}

static void answer__digest_of_other_refs__is_nonsense(void)
{
    struct site site;
    set_up(&site);
    add_refs(&site, "1");
    add_looked(&site, "1", NET_LOOK_REFS, false);
    make_program(&site, "exec /bin/cat");
    g_assert_true(begin(&site, "one", NULL));
    wait(&site, "[one lost]");
    tear_down(&site);
}

static void answer__message_that_is_not_for_us__is_nonsense(void)
{
    struct site site;
    set_up(&site);
    struct net_answer answer = NET_ANSWER_INIT;
    answer.id = (char *)"1";
    answer.outcome = NET_OUTCOME_TIMEOUT;
    net_answer_encode(site.answer, &answer);
    make_program(&site, "exec /bin/cat");
    g_assert_true(begin(&site, "one", NULL));
    wait(&site, "[one lost]");
    tear_down(&site);
}

static void answer__look_that_was_dropped__is_passed_over(void)
{
    struct site site;
    set_up(&site);
    add_refs(&site, "1");
    add_looked(&site, "1", NET_LOOK_REFS, true);
    add_looked(&site, "7", NET_LOOK_ABSENT, false);
    add_looked(&site, "2", NET_LOOK_ABSENT, false);
    make_program(&site, "exec /bin/cat");
    g_assert_true(begin(&site, "one", NULL));
    g_assert_true(begin(&site, "two", NULL));
    helper_drop(site.helper, (void *)"one");
    helper_drop(site.helper, (void *)"nobody");
    wait(&site, "[two absent]");
    tear_down(&site);
}

static void lost__again_and_again__is_started_after_growing_pauses(void)
{
    struct site site;
    set_up(&site);
    make_program(&site, "exit 3");
    int64_t last_ms = 0;
    for (unsigned i = 0; i < 4; i++) {
        g_assert_true(begin(&site, "one", NULL));
        wait(&site, "[one lost]");
        int64_t pause_ms = helper_ready_ms(site.helper) - clock_monotonic_ms();
        g_assert_true(i == 0 ? pause_ms <= 0 : pause_ms > last_ms);
        last_ms = MAX(pause_ms, 0);
    }
    add_looked(&site, "5", NET_LOOK_ABSENT, false);
    make_program(&site, "exit 3");
    g_assert_true(begin(&site, "one", NULL));
    wait(&site, "[one absent]");
    g_assert_true(begin(&site, "one", NULL));
    wait(&site, "[one lost]");
    g_assert_cmpint(helper_ready_ms(site.helper), <=, clock_monotonic_ms());
    tear_down(&site);
}

static void give_up__silence__loses_what_is_under_way(void)
{
    struct site site;
    set_up(&site);
    make_program(&site, "exec /bin/sleep 1000");
    g_assert_true(begin(&site, "one", NULL));
    helper_give_up(site.helper);
    g_assert_cmpstr(site.heard->str, ==, "[one lost]");
    helper_give_up(site.helper);
    tear_down(&site);
}

static void begin__no_program__fails(void)
{
    struct site site;
    set_up(&site);
    g_assert_false(begin(&site, "one", NULL));
    g_assert_cmpuint(site.heard->len, ==, 0);
    tear_down(&site);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* as in the daemon: a helper may end before it is written to */
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/poll_helper/" #name, name)
    ADD(answer__refs_and_others__reach_their_owner);
    ADD(answer__same__only_when_something_was_known);
    ADD(answer__digest_of_other_refs__is_nonsense);
    ADD(answer__message_that_is_not_for_us__is_nonsense);
    ADD(answer__look_that_was_dropped__is_passed_over);
    ADD(lost__again_and_again__is_started_after_growing_pauses);
    ADD(give_up__silence__loses_what_is_under_way);
    ADD(begin__no_program__fails);
    return g_test_run();
}
