/* What the tests of git/localrefs.h share: looks, compared with what `git ls-remote` says. */
#ifndef PHANTOM_CI_TESTS_LOCALREFS_FIXTURE_H
#define PHANTOM_CI_TESTS_LOCALREFS_FIXTURE_H

#include "git_fixture.h"

#include "base/stamp.h"
#include "git/localrefs_internal.h"
#include "git/refset.h"

/* Above the tick of any kernel's clock, and far below what a step of a test takes. */
enum { TEST_SETTLE_MS = 40 };

/* A repository as its user knows it: from looks alone. */
struct observer {
    char *url;
    char **names;
    struct local_refs *local;
    GHashTable *refs; /* NULL: the last look failed */
    unsigned counts[LOCAL_REFS_FAILED + 1];
};

G_GNUC_UNUSED static void observer_init(struct observer *observer, const char *url,
                                        const char *const *names)
{
    *observer = (struct observer){.url = g_strdup(url), .names = g_strdupv((char **)names)};
    observer->local = local_refs_new(url, names);
    local_refs_set_settle_ms(observer->local, TEST_SETTLE_MS);
}

G_GNUC_UNUSED static void observer_clear(struct observer *observer)
{
    local_refs_free(observer->local);
    g_clear_pointer(&observer->refs, g_hash_table_unref);
    g_strfreev(observer->names);
    g_free(observer->url);
}

/* `git ls-remote URL`, or NULL when git fails. */
G_GNUC_UNUSED static char *ask_git(const char *url)
{
    const char *argv[] = {"git", "ls-remote", "--", url, NULL};
    int status;
    char *out = run_in("/", argv, &status);
    if (status == 0)
        return out;
    g_free(out);
    return NULL;
}

/* What of it these names want; tags peeled. */
G_GNUC_UNUSED static GHashTable *refs_of(const char *listing, const char *const *names)
{
    static const char peeled[] = "^{}";
    if (!listing)
        return NULL;
    GHashTable *refs = refset_new();
    struct refset_wanted *wanted = refset_wanted_new(names);
    g_auto(GStrv) lines = g_strsplit(listing, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *name = strchr(*line, '\t');
        if (!name)
            continue;
        *name++ = '\0';
        if (g_str_has_suffix(name, peeled))
            name[strlen(name) - strlen(peeled)] = '\0';
        g_assert_true(refset_add(refs, wanted, name, strlen(name), *line, strlen(*line)));
    }
    refset_wanted_free(wanted);
    return refs;
}

G_GNUC_UNUSED static char *describe(GHashTable *refs)
{
    if (!refs)
        return g_strdup("failed");
    GString *text = g_string_new(NULL);
    GList *names = g_list_sort(g_hash_table_get_keys(refs), (GCompareFunc)strcmp);
    for (GList *name = names; name; name = name->next)
        g_string_append_printf(text, "%s=%.8s ", (const char *)name->data,
                               (const char *)g_hash_table_lookup(refs, name->data));
    g_list_free(names);
    return g_string_free(text, FALSE);
}

/* One look. When it is left to git, `listing` is what git says. */
G_GNUC_UNUSED static enum local_refs_result look_given(struct observer *observer,
                                                       const char *listing)
{
    GHashTable *refs;
    GError *error = NULL;
    enum local_refs_result result = local_refs_look(observer->local, &refs, &error);
    observer->counts[result]++;
    g_assert_true((result == LOCAL_REFS_READ) == (refs != NULL));
    g_assert_true((result == LOCAL_REFS_ASK_GIT || result == LOCAL_REFS_FAILED) == (error != NULL));
    if (result == LOCAL_REFS_SAME) {
        g_assert_nonnull(observer->refs);
        return result;
    }
    g_clear_pointer(&observer->refs, g_hash_table_unref);
    if (result == LOCAL_REFS_ASK_GIT) {
        refs = refs_of(listing, (const char *const *)observer->names);
        if (refs)
            local_refs_git_answered(observer->local);
    }
    observer->refs = refs;
    g_clear_error(&error);
    return result;
}

/* So many looks, of which the last must tell what git tells; the first that is news. */
G_GNUC_UNUSED static enum local_refs_result look_often(struct observer *observer, int times)
{
    g_autofree char *listing = ask_git(observer->url);
    enum local_refs_result result = LOCAL_REFS_SAME;
    for (int i = 0; i < times; i++) {
        enum local_refs_result now = look_given(observer, listing);
        result = result == LOCAL_REFS_SAME ? now : result;
    }
    GHashTable *expected = refs_of(listing, (const char *const *)observer->names);
    g_autofree char *ours = describe(observer->refs);
    g_autofree char *theirs = describe(expected);
    g_assert_cmpstr(ours, ==, theirs);
    if (expected)
        g_hash_table_unref(expected);
    return result;
}

G_GNUC_UNUSED static enum local_refs_result look(struct observer *observer)
{
    return look_often(observer, 1);
}

/* What only the configuration or the place of a repository says shows within a few looks. */
G_GNUC_UNUSED static enum local_refs_result look_soon(struct observer *observer)
{
    return look_often(observer, LOCAL_REFS_CONFIGURATION_EVERY);
}

/* Looks until nothing is young any more: a look that begins so long after the last news, and tells
 * none, has read all that it then knows again. `listing`: what git says. */
G_GNUC_UNUSED static void settle_given(struct observer *observer, const char *listing)
{
    gint64 limit = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    gint64 begun, news = g_get_monotonic_time();
    enum local_refs_result result;
    do {
        begun = g_get_monotonic_time();
        g_assert_cmpint(begun, <, limit);
        result = look_given(observer, listing);
        if (result != LOCAL_REFS_SAME)
            news = g_get_monotonic_time();
    } while (result != LOCAL_REFS_SAME || begun - news < 2 * TEST_SETTLE_MS * 1000);
}

G_GNUC_UNUSED static void settle(struct observer *observer)
{
    g_autofree char *listing = ask_git(observer->url);
    settle_given(observer, listing);
}

/* How often this process has called read(2), or -1 when the kernel does not tell. */
G_GNUC_UNUSED static gint64 count_reads(void)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents("/proc/self/io", &text, NULL, NULL))
        return -1;
    const char *line = strstr(text, "syscr: ");
    return line ? g_ascii_strtoll(line + strlen("syscr: "), NULL, 10) : -1;
}

#endif
