/* What the tests of git/lsrefs share: an answer fed to a parser, and what came of it as text. */
#ifndef PHANTOM_CI_TESTS_LSREFS_FIXTURE_H
#define PHANTOM_CI_TESTS_LSREFS_FIXTURE_H

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "git/lsrefs.h"
#include "git/pktline.h"
#include "git/refset.h"
#include "git/url.h"

typedef struct lsrefs lsrefs;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(lsrefs, lsrefs_free)

G_GNUC_UNUSED static const char *const all_refs[] = {"refs/heads/*", "refs/tags/*", NULL};

struct reading {
    bool done; /* before the end of the input was told */
    int version;
    char *format;
    bool can_ls_refs;
    enum lsrefs_next next;
    char *refs; /* "<name> <id>\n" sorted, or NULL */
    GError *error;
};

static int compare_lines(gconstpointer left, gconstpointer right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static char *format_refs(GHashTable *refs)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer name, id;
    g_hash_table_iter_init(&iter, refs);
    while (g_hash_table_iter_next(&iter, &name, &id)) {
        g_ptr_array_add(lines, g_strdup_printf("%s %s\n", (char *)name, (char *)id));
    }
    g_ptr_array_sort(lines, compare_lines);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("", (char **)lines->pdata);
}

/* At the end of the input. */
static void reading_finish(struct reading *reading, struct lsrefs *parser)
{
    reading->done = lsrefs_is_done(parser);
    g_autoptr(GHashTable) refs = lsrefs_finish(parser, &reading->error);
    g_assert_true((refs == NULL) == (reading->error != NULL));
    reading->version = lsrefs_version(parser);
    reading->format = g_strdup(lsrefs_object_format(parser));
    reading->can_ls_refs = lsrefs_can_ls_refs(parser);
    reading->next = lsrefs_next(parser);
    reading->refs = refs ? format_refs(refs) : NULL;
}

static void reading_clear(struct reading *reading)
{
    g_free(reading->format);
    g_free(reading->refs);
    g_clear_error(&reading->error);
}

/* Each piece is a block of its own, so that a sanitizer sees a read beyond it. */
G_GNUC_UNUSED static void read_in_pieces(struct reading *reading, enum lsrefs_form form,
                                         const char *bytes, size_t length, size_t piece,
                                         const char *const *wanted)
{
    g_autoptr(lsrefs) parser = lsrefs_new(form, wanted);
    g_autoptr(GError) error = NULL;
    bool good = true;
    *reading = (struct reading){.version = -1};
    for (size_t at = 0; good && at < length; at += piece) {
        size_t part = MIN(piece, length - at);
        g_autofree uint8_t *copy = g_memdup2(bytes + at, part);
        good = lsrefs_take(parser, copy, part, &error);
        g_assert_true(good == (error == NULL));
    }
    reading_finish(reading, parser);
    if (error) {
        g_assert_nonnull(reading->error);
        g_assert_cmpstr(reading->error->message, ==, error->message);
    }
}

#endif
