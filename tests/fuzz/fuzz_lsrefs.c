/* What a git server answers, in every form. The first byte is the form ('A' answer, 'V'
 * advertisement, 'P' pipe; anything else by its value). However the input is cut into pieces the
 * same must come out, and what comes out keeps the rules of git/refset.h. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "git/lsrefs.h"
#include "git/refset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const wanted[] = {"refs/heads/*", "refs/tags/v*", NULL};

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_refs(GHashTable *refs)
{
    struct refset_wanted *set = refset_wanted_new(wanted);
    GHashTableIter iter;
    gpointer name, id;
    require(g_hash_table_size(refs) <= REFSET_MAX_REFS);
    g_hash_table_iter_init(&iter, refs);
    while (g_hash_table_iter_next(&iter, &name, &id)) {
        require(refset_is_valid(name, strlen(name), id, strlen(id)) && refset_wants(set, name));
    }
    refset_wanted_free(set);
}

static void check_error(const GError *error)
{
    require(error_has_code(error, ERROR_REMOTE) || error_has_code(error, ERROR_INVALID) ||
            error_has_code(error, ERROR_LIMIT));
    require(g_utf8_validate(error->message, -1, NULL) && strlen(error->message) < 4096);
    for (const char *at = error->message; *at; at++) {
        require((unsigned char)*at >= 0x20 && *at != 0x7f);
    }
}

struct outcome {
    char *digest; /* or NULL */
    int code, version;
    enum lsrefs_next next;
    const char *format;
};

static struct outcome read_all(enum lsrefs_form form, const uint8_t *data, size_t size,
                               size_t piece)
{
    struct lsrefs *lsrefs = lsrefs_new(form, wanted);
    struct outcome outcome = {.code = -1};
    g_autoptr(GError) error = NULL;
    bool good = true;
    for (size_t at = 0; good && at < size; at += piece) {
        size_t part = MIN(piece, size - at);
        /* in a block of its own, so that a read beyond the end is seen */
        g_autofree uint8_t *copy = g_memdup2(data + at, part);
        g_autoptr(GError) problem = NULL;
        good = lsrefs_take(lsrefs, copy, part, &problem);
        require(good == (problem == NULL));
        require(good || !lsrefs_is_done(lsrefs));
    }
    g_autoptr(GHashTable) refs = lsrefs_finish(lsrefs, &error);
    require((refs == NULL) == (error != NULL) && (good || !refs));
    outcome.version = lsrefs_version(lsrefs);
    outcome.next = lsrefs_next(lsrefs);
    outcome.format = lsrefs_object_format(lsrefs);
    if (refs) {
        require(outcome.next == LSREFS_NEXT_NOTHING && outcome.version >= 0);
        check_refs(refs);
        outcome.digest = refset_digest(refs);
    } else {
        check_error(error);
        outcome.code = error->code;
    }
    lsrefs_free(lsrefs);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    enum lsrefs_form form = data[0] == 'A'   ? LSREFS_ANSWER
                            : data[0] == 'V' ? LSREFS_ADVERTISEMENT
                            : data[0] == 'P' ? LSREFS_PIPE
                                             : (enum lsrefs_form)(data[0] % 3);
    static const size_t pieces[] = {1, 7};
    struct outcome whole = read_all(form, data + 1, size - 1, size);
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
        struct outcome cut = read_all(form, data + 1, size - 1, pieces[i]);
        require(g_strcmp0(cut.digest, whole.digest) == 0 && cut.code == whole.code);
        require(cut.version == whole.version && cut.next == whole.next);
        require(strcmp(cut.format, whole.format) == 0);
        g_free(cut.digest);
    }
    g_free(whole.digest);
    return 0;
}
