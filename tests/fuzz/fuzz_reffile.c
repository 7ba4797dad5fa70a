/* The files that hold a repository's refs: a loose ref, and packed-refs in pieces. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "git/reffile.h"
#include "git/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void parse_loose(const char *bytes, size_t length, size_t id_length)
{
    char value[REFSET_MAX_NAME + 1];
    switch (reffile_parse_loose(bytes, length, id_length, value)) {
    case REFFILE_ID:
        require(text_is_object_id(value) && strlen(value) == id_length);
        break;
    case REFFILE_SYMBOLIC:
        require(g_str_has_prefix(value, "refs/") &&
                url_remote_branch_is_valid(value + strlen("refs/"), NULL));
        break;
    case REFFILE_BROKEN:
        break;
    }
}

static bool wanted(const char *name, size_t length, void *data)
{
    (void)data;
    return length < 7 || name[5] != 'p';
}

static bool found(const struct reffile_packed_ref *ref, void *data)
{
    GString *out = data;
    require(ref->name_length > 0 && ref->name_length <= REFSET_MAX_NAME);
    require(!memchr(ref->name, '\n', ref->name_length) &&
            wanted(ref->name, ref->name_length, NULL));
    require(ref->is_peeled || !ref->peeled_id);
    for (size_t i = 0; i < 40; i++)
        require(g_ascii_isxdigit(ref->id[i]) && !g_ascii_isupper(ref->id[i]) &&
                (!ref->peeled_id || g_ascii_isxdigit(ref->peeled_id[i])));
    g_string_append_len(out, ref->name, (gssize)ref->name_length);
    g_string_append_len(out, ref->id, 40);
    g_string_append_len(out, ref->peeled_id ? ref->peeled_id : "-", ref->peeled_id ? 40 : 1);
    g_string_append_c(out, ref->is_peeled ? 'p' : '?');
    return out->len < 100000;
}

/* Pieces as a file that is read through a buffer gives them; each in a block of its own, so that a
 * read beyond its end is seen. */
static GString *read_packed(const char *bytes, size_t length, size_t piece)
{
    GString *out = g_string_new(NULL);
    struct reffile_packed packed;
    reffile_packed_init(&packed, 40, wanted, found, out);
    size_t used = 0, given = 0;
    bool good = true;
    while (good && given < length) {
        given = MIN(given + piece, length);
        g_autofree char *part = g_memdup2(bytes + used, given - used);
        gssize done = reffile_packed_read(&packed, part ? part : "", given - used, NULL);
        require(done <= (gssize)(given - used));
        good = done >= 0;
        used += good ? (size_t)done : 0;
    }
    good = good && reffile_packed_finish(&packed, length - used, NULL);
    g_string_append(out, good ? " good" : " bad");
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *bytes = g_memdup2(data, size);
    const char *text = bytes ? bytes : "";
    parse_loose(text, size, 40);
    parse_loose(text, size, 64);
    g_autoptr(GString) whole = read_packed(text, size, size + 1);
    size_t piece = size > 0 ? 1 + data[size - 1] % 97u : 1;
    g_autoptr(GString) pieces = read_packed(text, size, piece);
    require(g_string_equal(whole, pieces));
    return 0;
}
