/*
 * refwatch.c on a kernel that tells that a directory changed and no more, as kqueue(2) does: here
 * one that is made of inotify with everything taken away that kqueue has not got. Its functions
 * come before those of the library.
 */
#include "git_fixture.h"

#ifdef __linux__

#include <sys/inotify.h>

#include "poll/refwatch.h"
#include "poll/refwatch_kernel.h"

static GHashTable *kernel_ids; /* watch of inotify -> id; each id belongs to one call of add */
static int kernel_next_id = 1000;
static unsigned kernel_watches;

int kernel_watch_open(GError **error)
{
    (void)error;
    kernel_ids = g_hash_table_new(NULL, NULL);
    return inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
}

int kernel_watch_add(int fd, const char *path, bool renames_only, GError **error)
{
    (void)renames_only;
    int wd = inotify_add_watch(fd, path,
                               IN_ONLYDIR | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                   IN_DELETE_SELF | IN_MOVE_SELF);
    if (wd < 0) {
        error_set_errno(error, REFWATCH_ERROR, errno, "cannot watch %s", path);
        return -1;
    }
    g_assert_false(g_hash_table_contains(kernel_ids, GINT_TO_POINTER(wd)));
    g_hash_table_insert(kernel_ids, GINT_TO_POINTER(wd), GINT_TO_POINTER(kernel_next_id));
    kernel_watches++;
    return kernel_next_id++;
}

static gboolean is_id(gpointer wd, gpointer id, gpointer wanted)
{
    (void)wd;
    return id == wanted;
}

void kernel_watch_remove(int fd, int id)
{
    (void)fd;
    g_assert_cmpuint(g_hash_table_foreach_remove(kernel_ids, is_id, GINT_TO_POINTER(id)), ==, 1);
    kernel_watches--;
}

static void kernel_tell(int fd, const char *bytes, ssize_t length, bool ends,
                        void (*tell)(const struct kernel_watch_event *event, void *data),
                        void *data)
{
    const struct inotify_event *event;
    for (ssize_t at = 0; at < length; at += (ssize_t)(sizeof(*event) + event->len)) {
        event = (const struct inotify_event *)(bytes + at);
        gpointer id = g_hash_table_lookup(kernel_ids, GINT_TO_POINTER(event->wd));
        struct kernel_watch_event told = {.kind = KERNEL_WATCH_ENTRY, .id = GPOINTER_TO_INT(id)};
        bool is_end = event->mask & (IN_DELETE_SELF | IN_MOVE_SELF);
        if (!id || (event->mask & IN_IGNORED) || is_end != ends)
            continue;
        if (event->mask & IN_DELETE_SELF) {
            told.kind = KERNEL_WATCH_GONE;
            kernel_watch_remove(fd, told.id);
        } else if (event->mask & IN_MOVE_SELF) {
            told.kind = KERNEL_WATCH_MOVED;
        }
        tell(&told, data);
    }
}

/* In an order of its own: that a directory is gone comes last. */
void kernel_watch_read(int fd, void (*tell)(const struct kernel_watch_event *event, void *data),
                       void *data)
{
    _Alignas(struct inotify_event) char bytes[65536];
    ssize_t got = read(fd, bytes, sizeof(bytes));
    kernel_tell(fd, bytes, got, false, tell, data);
    kernel_tell(fd, bytes, got, true, tell, data);
}

static char owner[] = "o";

static void count(void *who, bool lost, void *data)
{
    unsigned *counts = data;
    g_assert_true(who == owner);
    counts[lost]++;
}

static void assert_told(struct fixture *fixture, struct refwatch *watch, const char *line,
                        unsigned changed, unsigned lost)
{
    unsigned counts[2] = {0, 0};
    g_free(sh(fixture->source, "%s", line));
    refwatch_take(watch, count, counts);
    g_assert_cmpuint(counts[false], ==, changed);
    g_assert_cmpuint(counts[true], ==, lost);
}

static void test_nameless(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    g_free(commit(&fixture, "echo 1 >a"));
    g_autofree char *directory = path_in(fixture.source, ".git");
    struct refwatch *watch = refwatch_new(NULL);
    g_assert_true(refwatch_add(watch, owner, directory, true, NULL));
    g_assert_cmpuint(kernel_watches, ==, 3);
    assert_told(&fixture, watch, "true", 0, 0);
    assert_told(&fixture, watch, "git commit -q --allow-empty -m x", 1, 0);
    assert_told(&fixture, watch, "git branch feature/a/b", 1, 0);
    g_assert_cmpuint(kernel_watches, ==, 5);
    assert_told(&fixture, watch, "git branch -f feature/a/b HEAD~1", 1, 0);
    assert_told(&fixture, watch, "git branch feature/a/c", 1, 0);
    g_assert_cmpuint(kernel_watches, ==, 5);
    assert_told(&fixture, watch, "git tag v1", 1, 0);
    assert_told(&fixture, watch, "git pack-refs --all", 1, 0);
    g_assert_cmpuint(kernel_watches, ==, 3);
    assert_told(&fixture, watch, "git branch feature/a/d", 1, 0);
    assert_told(&fixture, watch, "git pack-refs --all; git branch feature/a/e", 1, 0);
    g_assert_cmpuint(kernel_watches, ==, 5);
    assert_told(&fixture, watch, "git branch -f feature/a/e HEAD~1", 1, 0);
    assert_told(&fixture, watch, "rm -rf .git/refs/heads/feature", 1, 0);
    g_assert_cmpuint(kernel_watches, ==, 3);
    assert_told(&fixture, watch, "rm -rf .git/refs/heads", 0, 1);
    g_assert_cmpuint(kernel_watches, ==, 0);
    refwatch_free(watch);
    g_hash_table_unref(kernel_ids);
    fixture_clear(&fixture);
}

#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#ifdef __linux__
    g_test_add_func("/refwatch/kernel__that_tells_no_names__is_enough", test_nameless);
#endif
    return g_test_run();
}
