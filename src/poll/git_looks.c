#include "poll/git_looks.h"

#include "git/look.h"

struct child {
    void *owner;
    struct git_look *look;
    int fds_at; /* where its two descriptors stand in the poll set, or -1 */
};

struct git_looks {
    struct git_looks_events events;
    GHashTable *children; /* owner -> struct child * */
    GPtrArray *polled;    /* of owners, as they were put into the poll set */
};

static void child_free(void *data)
{
    struct child *child = data;
    git_look_free(child->look);
    g_free(child);
}

struct git_looks *git_looks_new(const struct git_looks_events *events)
{
    struct git_looks *looks = g_new0(struct git_looks, 1);
    looks->events = *events;
    looks->children = g_hash_table_new_full(NULL, NULL, NULL, child_free);
    looks->polled = g_ptr_array_new();
    return looks;
}

void git_looks_free(struct git_looks *looks)
{
    if (looks) {
        g_hash_table_unref(looks->children);
        g_ptr_array_unref(looks->polled);
        g_free(looks);
    }
}

bool git_looks_begin(struct git_looks *looks, void *owner, const struct remote *remote,
                     bool no_redirects, GError **error)
{
    const struct git_remote address = {remote->url, remote->ssh_key_path};
    struct git_look *look =
        git_look_start(&address, no_redirects, (const char *const *)remote->wanted, error);
    if (!look) {
        return false;
    }
    struct child *child = g_new0(struct child, 1);
    child->owner = owner;
    child->look = look;
    child->fds_at = -1;
    g_hash_table_insert(looks->children, owner, child);
    return true;
}

static void finish(struct git_looks *looks, struct child *child)
{
    void *owner = child->owner;
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) refs = git_look_finish(child->look, &error);
    g_hash_table_remove(looks->children, owner);
    looks->events.over(owner, refs, error, looks->events.data);
}

void git_looks_end(struct git_looks *looks, void *owner)
{
    struct child *child = g_hash_table_lookup(looks->children, owner);
    if (child) {
        git_look_kill(child->look);
        finish(looks, child);
    }
}

void git_looks_drop(struct git_looks *looks, void *owner)
{
    g_hash_table_remove(looks->children, owner);
}

void git_looks_add_fds(struct git_looks *looks, GArray *pollfds)
{
    GHashTableIter iterator;
    void *value = NULL;
    g_ptr_array_set_size(looks->polled, 0);
    g_hash_table_iter_init(&iterator, looks->children);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        struct child *child = value;
        int fds[2];
        git_look_fds(child->look, fds);
        child->fds_at = (int)pollfds->len;
        g_ptr_array_add(looks->polled, child->owner);
        for (int i = 0; i < 2; i++) {
            struct pollfd entry = {.fd = fds[i], .events = POLLIN};
            g_array_append_val(pollfds, entry);
        }
    }
}

void git_looks_handle(struct git_looks *looks, const struct pollfd *fds, unsigned count)
{
    for (unsigned i = 0; i < looks->polled->len; i++) {
        void *owner = g_ptr_array_index(looks->polled, i);
        struct child *child = g_hash_table_lookup(looks->children, owner);
        if (!child || child->fds_at < 0 || (unsigned)child->fds_at + 1 >= count) {
            continue;
        }
        const struct pollfd *own = &fds[child->fds_at];
        child->fds_at = -1;
        if ((own[0].revents || own[1].revents) && !git_look_read(child->look)) {
            finish(looks, child);
        }
    }
    g_ptr_array_set_size(looks->polled, 0);
}
