/* A tiny file system of its own, for tests of the full disk. Linux, as root or with user
 * namespaces. */
#ifndef PHANTOM_CI_TESTS_SMALL_DISK_H
#define PHANTOM_CI_TESTS_SMALL_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

enum { SMALL_DISK_SKIPPED = 77 };

static inline bool small_disk_mount(const char *directory, const char *options)
{
#ifdef __linux__
    g_autofree char *map = g_strdup_printf("%u %u 1", (unsigned)geteuid(), (unsigned)geteuid());
    g_autofree char *group_map =
        g_strdup_printf("%u %u 1", (unsigned)getegid(), (unsigned)getegid());
    bool is_root = geteuid() == 0;
    if (unshare(is_root ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0) {
        return false;
    }
    if (!is_root) {
        int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
        bool mapped = fd >= 0 && write(fd, map, strlen(map)) == (ssize_t)strlen(map);
        if (fd >= 0) {
            close(fd);
        }
        int deny = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
        int groups = open("/proc/self/gid_map", O_WRONLY | O_CLOEXEC);
        mapped = mapped && deny >= 0 && write(deny, "deny", 4) == 4 && groups >= 0 &&
                 write(groups, group_map, strlen(group_map)) == (ssize_t)strlen(group_map);
        if (!mapped) {
            return false;
        }
    }
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", directory, "tmpfs", 0, options) == 0;
#else
    (void)directory;
    (void)options;
    return false;
#endif
}

/* Writes `path` until nothing fits any more; at most 64 MiB. */
static inline void small_disk_fill(const char *path)
{
    static const char block[4096];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    ssize_t written = 1;
    for (int i = 0; i < 16384 && written > 0; i++) {
        written = write(fd, block, sizeof(block));
    }
    g_assert_cmpint(written, <, 0);
    g_assert_cmpint(errno, ==, ENOSPC);
    close(fd);
}

/* Runs `body` in a child that sees a new file system at `directory`; skips the test where that
 * cannot be had. */
static inline void small_disk_run(const char *directory, const char *options,
                                  void (*body)(const char *directory))
{
    pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        if (!small_disk_mount(directory, options)) {
            _exit(SMALL_DISK_SKIPPED);
        }
        body(directory);
        _exit(0);
    }
    int status = 0;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SMALL_DISK_SKIPPED) {
        g_assert_null(g_getenv("PHANTOM_CI_TESTS_MUST_RUN"));
        g_test_skip("no mount namespaces here");
        return;
    }
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

#endif
