#include "git/refset.h"

#include <string.h>

#include "base/text.h"
#include "git/url.h"

static const char heads[] = "refs/heads/", tags[] = "refs/tags/";

/* What ends the fixed head of a glob: the special characters of fnmatch(3). */
static const char specials[] = "*?[\\";

/* ------------------------------------------------------------------------------------- wanted */

struct glob {
    size_t head_length;
    char pattern[];
};

struct refset_wanted {
    GHashTable *names; /* a set */
    GPtrArray *globs;  /* struct glob * */
};

struct refset_wanted *refset_wanted_new(const char *const *names)
{
    struct refset_wanted *wanted = g_new(struct refset_wanted, 1);
    wanted->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    wanted->globs = g_ptr_array_new_with_free_func(g_free);
    for (; *names; names++) {
        if (!text_is_glob(*names)) {
            g_hash_table_add(wanted->names, g_strdup(*names));
            continue;
        }
        size_t size = strlen(*names) + 1;
        struct glob *glob = g_malloc(sizeof(*glob) + size);
        glob->head_length = strcspn(*names, specials);
        memcpy(glob->pattern, *names, size);
        g_ptr_array_add(wanted->globs, glob);
    }
    return wanted;
}

void refset_wanted_free(struct refset_wanted *wanted)
{
    if (wanted) {
        g_hash_table_unref(wanted->names);
        g_ptr_array_unref(wanted->globs);
        g_free(wanted);
    }
}

bool refset_wants(const struct refset_wanted *wanted, const char *name)
{
    if (g_hash_table_contains(wanted->names, name)) {
        return true;
    }
    for (guint i = 0; i < wanted->globs->len; i++) {
        const struct glob *glob = wanted->globs->pdata[i];
        if (strncmp(name, glob->pattern, glob->head_length) == 0 &&
            text_glob_match(glob->pattern, name)) {
            return true;
        }
    }
    return false;
}

/* --------------------------------------------------------------------------------------- refs */

GHashTable *refset_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static bool name_is_valid(const char *name)
{
    size_t length = g_str_has_prefix(name, heads)  ? strlen(heads)
                    : g_str_has_prefix(name, tags) ? strlen(tags)
                                                   : 0;
    return length > 0 && url_remote_branch_is_valid(name + length, NULL);
}

static bool id_is_valid(const char *id)
{
    return text_is_object_id(id) && id[strspn(id, "0")] != '\0';
}

bool refset_add(GHashTable *refs, const struct refset_wanted *wanted, const char *name,
                size_t name_length, const char *id, size_t id_length)
{
    char name_text[REFSET_MAX_NAME + 1], id_text[64 + 1];
    if (name_length == 0 || name_length >= sizeof(name_text) || id_length == 0 ||
        id_length >= sizeof(id_text) || memchr(name, '\0', name_length) ||
        memchr(id, '\0', id_length)) {
        return true;
    }
    memcpy(name_text, name, name_length);
    name_text[name_length] = '\0';
    if (wanted && !refset_wants(wanted, name_text)) {
        return true;
    }
    memcpy(id_text, id, id_length);
    id_text[id_length] = '\0';
    if (!name_is_valid(name_text) || !id_is_valid(id_text)) {
        return true;
    }
    if (g_hash_table_size(refs) >= REFSET_MAX_REFS && !g_hash_table_contains(refs, name_text)) {
        return false;
    }
    g_hash_table_replace(refs, g_strdup(name_text), g_strdup(id_text));
    return true;
}

static int compare_names(gconstpointer left, gconstpointer right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

char *refset_digest(GHashTable *refs)
{
    guint count = 0;
    g_autofree char **names = (char **)g_hash_table_get_keys_as_array(refs, &count);
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    if (count > 0) {
        qsort(names, count, sizeof(*names), compare_names);
    }
    for (guint i = 0; i < count; i++) {
        const char *id = g_hash_table_lookup(refs, names[i]);
        g_checksum_update(checksum, (const guchar *)id, (gssize)strlen(id));
        g_checksum_update(checksum, (const guchar *)" ", 1);
        g_checksum_update(checksum, (const guchar *)names[i], (gssize)strlen(names[i]));
        g_checksum_update(checksum, (const guchar *)"\n", 1);
    }
    return g_strdup(g_checksum_get_string(checksum));
}

/* ----------------------------------------------------------------------------------- prefixes */

/* Of a head that is shorter than `base`, as that of "refs/?*", what can be kept begins with
 * `base`. */
static void add_head(GPtrArray *found, const char *head, size_t length, const char *base)
{
    if (strncmp(head, base, MIN(length, strlen(base))) == 0) {
        g_ptr_array_add(found, length > strlen(base) ? g_strndup(head, length) : g_strdup(base));
    }
}

static bool needs(const GPtrArray *found, const char *base)
{
    for (guint i = 0; i < found->len; i++) {
        if (g_str_has_prefix(found->pdata[i], base)) {
            return true;
        }
    }
    return false;
}

/* Sorted, so that what covers a name stands before it, next to what it covers as well. */
static void drop_covered(GPtrArray *found)
{
    guint kept = 0;
    g_ptr_array_sort(found, compare_names);
    for (guint i = 0; i < found->len; i++) {
        char *head = g_steal_pointer(&found->pdata[i]);
        if (kept > 0 && g_str_has_prefix(head, found->pdata[kept - 1])) {
            g_free(head);
        } else {
            found->pdata[kept++] = head;
        }
    }
    g_ptr_array_set_size(found, (gint)kept);
}

char **refset_prefixes(const char *const *names, unsigned most)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    for (; *names; names++) {
        size_t length = strcspn(*names, specials);
        if (length <= REFSET_MAX_NAME) {
            add_head(found, *names, length, heads);
            add_head(found, *names, length, tags);
        }
    }
    drop_covered(found);
    if (found->len > most || found->len == 0) {
        bool with_tags = needs(found, tags), with_heads = needs(found, heads) || !with_tags;
        g_ptr_array_set_size(found, 0);
        if (with_heads) {
            g_ptr_array_add(found, g_strdup(heads));
        }
        if (with_tags) {
            g_ptr_array_add(found, g_strdup(tags));
        }
    }
    g_ptr_array_add(found, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&found), FALSE);
}
