#include "git/refset.h"

#include <string.h>

#include "base/text.h"
#include "git/url.h"

enum { MAX_ID = 64 };

static const char heads[] = "refs/heads/", tags[] = "refs/tags/";

/* What ends the fixed head of a glob: the special characters of fnmatch(3). */
static const char specials[] = "*?[\\";

/* ------------------------------------------------------------------------------------- wanted */

/* Sorted by their fixed heads. The heads that a name begins with are that of the last glob whose
 * head does not stand behind the name in this order, or heads which that one begins with: whatever
 * stands between a head and a name that begins with it begins with it, too. */
struct glob {
    char *head;
    char *pattern;
    size_t head_length;
    const struct glob *outer; /* the nearest one before it whose head this head begins with */
};

struct refset_wanted {
    GHashTable *names; /* a set */
    GArray *globs;
};

static void clear_glob(gpointer item)
{
    struct glob *glob = item;
    g_free(glob->head);
    g_free(glob->pattern);
}

static int compare_heads(gconstpointer left, gconstpointer right)
{
    return strcmp(((const struct glob *)left)->head, ((const struct glob *)right)->head);
}

static const struct glob *glob_at(const struct refset_wanted *wanted, guint i)
{
    return &g_array_index(wanted->globs, struct glob, i);
}

static bool begins_with_head(const char *name, const struct glob *glob)
{
    return strncmp(name, glob->head, glob->head_length) == 0;
}

static void link_globs(struct refset_wanted *wanted)
{
    g_array_sort(wanted->globs, compare_heads);
    for (guint i = 1; i < wanted->globs->len; i++) {
        struct glob *glob = &g_array_index(wanted->globs, struct glob, i);
        glob->outer = glob_at(wanted, i - 1);
        while (glob->outer && !begins_with_head(glob->head, glob->outer)) {
            glob->outer = glob->outer->outer;
        }
    }
}

struct refset_wanted *refset_wanted_new(const char *const *names)
{
    struct refset_wanted *wanted = g_new(struct refset_wanted, 1);
    wanted->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    wanted->globs = g_array_new(FALSE, FALSE, sizeof(struct glob));
    g_array_set_clear_func(wanted->globs, clear_glob);
    for (; *names; names++) {
        if (!text_is_glob(*names)) {
            g_hash_table_add(wanted->names, g_strdup(*names));
            continue;
        }
        size_t length = strcspn(*names, specials);
        const struct glob glob = {
            .head = g_strndup(*names, length), .pattern = g_strdup(*names), .head_length = length};
        g_array_append_val(wanted->globs, glob);
    }
    link_globs(wanted);
    return wanted;
}

void refset_wanted_free(struct refset_wanted *wanted)
{
    if (wanted) {
        g_hash_table_unref(wanted->names);
        g_array_unref(wanted->globs);
        g_free(wanted);
    }
}

/* The last glob whose head does not stand behind `name`; NULL when there is none. */
static const struct glob *find_glob(const struct refset_wanted *wanted, const char *name)
{
    guint low = 0, high = wanted->globs->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (strcmp(glob_at(wanted, middle)->head, name) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? glob_at(wanted, low - 1) : NULL;
}

static bool glob_matches(const struct glob *glob, const char *name)
{
    if (!begins_with_head(name, glob)) {
        return false;
    }
    return strcmp(glob->pattern + glob->head_length, "*") == 0 ||
           text_glob_match(glob->pattern, name);
}

bool refset_wants(const struct refset_wanted *wanted, const char *name)
{
    if (g_hash_table_contains(wanted->names, name)) {
        return true;
    }
    for (const struct glob *glob = find_glob(wanted, name); glob; glob = glob->outer) {
        if (glob_matches(glob, name)) {
            return true;
        }
    }
    return false;
}

/* --------------------------------------------------------------------------------------- refs */

GHashTable *refset_new(void)
{
    return g_hash_table_new_full(text_hash, g_str_equal, g_free, g_free);
}

bool refset_name_is_valid(const char *name)
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

/* False for what can't be a ref's name or id. */
static bool copy_text(char *copy, size_t size, const char *text, size_t length)
{
    if (length == 0 || length >= size || memchr(text, '\0', length)) {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    return true;
}

bool refset_is_valid(const char *name, size_t name_length, const char *id, size_t id_length)
{
    char name_text[REFSET_MAX_NAME + 1], id_text[MAX_ID + 1];
    return copy_text(name_text, sizeof(name_text), name, name_length) &&
           copy_text(id_text, sizeof(id_text), id, id_length) && refset_name_is_valid(name_text) &&
           id_is_valid(id_text);
}

bool refset_add(GHashTable *refs, const struct refset_wanted *wanted, const char *name,
                size_t name_length, const char *id, size_t id_length)
{
    char text[REFSET_MAX_NAME + 1];
    /* In this order: most of a server's refs are not wanted. */
    if (!copy_text(text, sizeof(text), name, name_length) ||
        (wanted && !refset_wants(wanted, text)) ||
        !refset_is_valid(name, name_length, id, id_length)) {
        return true;
    }
    if (g_hash_table_size(refs) >= REFSET_MAX_REFS && !g_hash_table_contains(refs, text)) {
        return false;
    }
    g_hash_table_replace(refs, g_strdup(text), g_strndup(id, id_length));
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
