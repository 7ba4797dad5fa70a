#include "base/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
#define HAS_GETFSSTAT 1
#include <sys/param.h>

#include <sys/mount.h>
#endif

#include "base/fd.h"

enum {
    TABLE_MAX_BYTES = 16 * 1024 * 1024,
    LINKS_MAX = 40, /* as many as the kernel follows */
};

/* ---------------------------------------------------------------------------------------- paths */

/* Takes the first component off `rest`; NULL when there is none. */
static char *take_component(GString *rest)
{
    gsize begin = strspn(rest->str, "/");
    gsize length = strcspn(rest->str + begin, "/");
    char *component = length > 0 ? g_strndup(rest->str + begin, length) : NULL;
    g_string_erase(rest, 0, (gssize)(begin + length));
    return component;
}

static void step(GString *at, const char *component)
{
    if (strcmp(component, "..") == 0) {
        const char *slash = strrchr(at->str, '/');
        g_string_truncate(at, slash ? (gsize)(slash - at->str) : 0);
    } else if (strcmp(component, ".") != 0) {
        g_string_append_printf(at, "/%s", component);
    }
}

bool mounts_lead_to(GHashTable *mount_points, const char *path)
{
    g_autoptr(GString) at = g_string_new(NULL); /* "" is the root directory */
    g_autoptr(GString) rest = g_string_new(path);
    int links = 0;
    while (links < LINKS_MAX) {
        g_autofree char *component = take_component(rest);
        if (!component) {
            return false;
        }
        step(at, component);
        if (g_hash_table_contains(mount_points, at->str)) {
            return true;
        }
        char target[PATH_MAX];
        ssize_t length = at->len > 0 ? readlink(at->str, target, sizeof(target)) : -1;
        if (length < 0) {
            continue;
        }
        links++;
        g_string_insert_c(rest, 0, '/');
        g_string_insert_len(rest, 0, target, length);
        if (target[0] == '/') {
            g_string_truncate(at, 0);
        } else {
            step(at, "..");
        }
    }
    return false;
}

/* ---------------------------------------------------------------------------------------- table */

static GHashTable *set_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static bool type_is_remote(const char *type)
{
    static const char *const types[] = {"9p",   "afs",   "autofs", "beegfs",   "ceph",   "cifs",
                                        "coda", "fuse",  "gfs2",   "gpfs",     "lustre", "ncpfs",
                                        "nfs",  "nfs4",  "ocfs2",  "orangefs", "panfs",  "pvfs2",
                                        "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", NULL};
    return g_strv_contains(types, type) || g_str_has_prefix(type, "fuse.");
}

GHashTable *mounts_parse(const char *mountinfo)
{
    GHashTable *found = set_new();
    g_auto(GStrv) lines = g_strsplit(mountinfo, "\n", -1);
    for (char **line = lines; *line; line++) {
        /* 36 35 98:0 /root /mnt/point rw,noatime shared:1 - type source options */
        g_auto(GStrv) fields = g_strsplit(*line, " ", -1);
        guint count = g_strv_length(fields), dash = 5;
        while (dash < count && strcmp(fields[dash], "-") != 0) {
            dash++;
        }
        if (dash + 1 < count && type_is_remote(fields[dash + 1]) && strcmp(fields[4], "/") != 0) {
            /* blanks and backslashes in octal */
            g_hash_table_add(found, g_strcompress(fields[4]));
        }
    }
    return found;
}

#if defined(__linux__)

/* The table of this process, which the kernel says to have changed through poll(2) (proc(5)). */
static GHashTable *read_table(void)
{
    static GHashTable *table;
    static int fd = -1;
    struct pollfd poll_fd = {.fd = fd, .events = POLLPRI};
    if (table && (fd < 0 || poll(&poll_fd, 1, 0) == 0)) {
        return table;
    }
    if (fd < 0) {
        fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    }
    size_t length;
    g_autofree char *text = fd >= 0 && lseek(fd, 0, SEEK_SET) == 0
                                ? fd_read_to_end(fd, TABLE_MAX_BYTES, &length, NULL)
                                : NULL;
    if (text || !table) {
        g_clear_pointer(&table, g_hash_table_unref);
        table = mounts_parse(text ? text : "");
    }
    return table;
}

#elif defined(HAS_GETFSSTAT)

static GHashTable *read_table(void)
{
    static GHashTable *table;
    /* MNT_NOWAIT: what the kernel remembers, without asking a file system. */
    int count = getfsstat(NULL, 0, MNT_NOWAIT);
    g_autofree struct statfs *mounts = count > 0 ? g_new0(struct statfs, (gsize)count) : NULL;
    g_clear_pointer(&table, g_hash_table_unref);
    table = set_new();
    count = mounts ? getfsstat(mounts, (int)sizeof(*mounts) * count, MNT_NOWAIT) : 0;
    for (int i = 0; i < count; i++) {
        bool is_remote = !(mounts[i].f_flags & MNT_LOCAL) || type_is_remote(mounts[i].f_fstypename);
        if (is_remote && strcmp(mounts[i].f_mntonname, "/") != 0) {
            g_hash_table_add(table, g_strdup(mounts[i].f_mntonname));
        }
    }
    return table;
}

#else

static GHashTable *read_table(void)
{
    static GHashTable *table;
    table = table ? table : set_new();
    return table;
}

#endif

bool mounts_path_is_remote(const char *path)
{
    GHashTable *table = read_table();
    return g_hash_table_size(table) > 0 && mounts_lead_to(table, path);
}
