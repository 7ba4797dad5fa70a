/* A program of its own: the table of mounts that base/mounts.c remembers is that of the namespace
 * in which it was first asked. */
#include "git_fixture.h"

#ifdef __linux__

#include <sched.h>
#include <sys/mount.h>

#include "git/localrefs.h"

static const char *const main_only[] = {"refs/heads/main", NULL};

enum { LOOK_GOOD = 0, LOOK_BAD = 1, NO_FUSE = 77 };

static bool look_tells(struct local_refs *local, enum local_refs_result expected, const char *part)
{
    GHashTable *refs;
    g_autoptr(GError) error = NULL;
    return local_refs_look(local, &refs, &error) == expected && strstr(error->message, part);
}

/* A file system whose program never answers comes up, in a mount namespace of this process's own.
 */
static int look_over_hanging_mount(const char *directory)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return NO_FUSE;
    g_autofree char *url = g_build_filename(directory, "app.git", NULL);
    struct local_refs *local = local_refs_new(url, main_only);
    bool good = look_tells(local, LOCAL_REFS_FAILED, "no such directory");
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    g_autofree char *options = g_strdup_printf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
    if (fd < 0 || mount("hanging", directory, "fuse.hanging", 0, options) < 0)
        return NO_FUSE;
    good = good && look_tells(local, LOCAL_REFS_ASK_GIT, "network file system");
    local_refs_free(local);
    return good ? LOOK_GOOD : LOOK_BAD;
}

/* Where there is no FUSE, what test_base_mounts.c shows has to do. */
static void test_hanging_mount(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    int status = 0;
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0)
        _exit(look_over_hanging_mount(fixture.cache));
    gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (g_get_monotonic_time() > end) {
            kill(pid, SIGKILL);
            g_error("the look waits for the file system");
        }
        g_usleep(1000);
    }
    g_assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_FUSE)
        g_test_message("no FUSE here");
    else
        g_assert_cmpint(WEXITSTATUS(status), ==, LOOK_GOOD);
    fixture_clear(&fixture);
}

#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#ifdef __linux__
    g_test_add_func("/localrefs/mount__that_hangs__is_not_touched", test_hanging_mount);
#endif
    return g_test_run();
}
