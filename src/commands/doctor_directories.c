/* The directories and files of the installation: whose they are, who may write them, on what they
 * lie. Nothing is made and nothing is opened but what must be read. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

#include "commands/doctor.h"
#include "commands/doctor_filesystem.h"

struct place {
    const char *what; /* "state" */
    const char *path;
    bool is_private; /* 0700 is wanted: it holds logs, tokens, checkouts */
    bool locks;      /* SQLite or locks live there */
};

static char *format_mode(const struct stat *status)
{
    return g_strdup_printf("%04o", (unsigned)(status->st_mode & 07777));
}

static char *chmod_command(const char *mode, const char *path)
{
    g_autofree char *quoted = g_shell_quote(path);
    return g_strdup_printf("chmod %s %s", mode, quoted);
}

/* ------------------------------------------------------------ one directory */

/* True when nothing was found wrong with what is there. */
static bool judge_directory(struct doctor *doctor, const struct place *place,
                            const struct stat *status)
{
    g_autofree char *mode = format_mode(status);
    g_autofree char *quoted = g_shell_quote(place->path);
    unsigned own = (unsigned)geteuid();
    if (!S_ISDIR(status->st_mode)) {
        g_autofree char *mend = g_strdup_printf("move it away: mv %s %s.old", quoted, quoted);
        doctor_add(doctor, DOCTOR_FAIL, "directory", place->path, mend, "the %s directory is %s",
                   place->what,
                   S_ISLNK(status->st_mode) ? "a link, which is not followed here"
                                            : "no directory");
        return false;
    }
    if (status->st_uid != own) {
        g_autofree char *mend = g_strdup_printf("run phantom_ci as user %u, or: chown -R %u %s",
                                                (unsigned)status->st_uid, own, quoted);
        doctor_add(doctor, DOCTOR_FAIL, "directory", place->path, mend,
                   "the %s directory belongs to user %u, and this is user %u", place->what,
                   (unsigned)status->st_uid, own);
        return false;
    }
    if (status->st_mode & 0022) {
        g_autofree char *mend = chmod_command(place->is_private ? "700" : "go-w", place->path);
        doctor_add(doctor, DOCTOR_FAIL, "directory", place->path, mend,
                   "the %s directory may be written by others (mode %s): they could say what this "
                   "user runs",
                   place->what, mode);
        return false;
    }
    /* Root passes access(2) everywhere; the mode is what was meant. */
    if ((status->st_mode & 0300) != 0300 || access(place->path, W_OK | X_OK) < 0) {
        g_autofree char *mend = chmod_command("u+rwx", place->path);
        doctor_add(doctor, DOCTOR_FAIL, "directory", place->path, mend,
                   "the %s directory can't be written (mode %s%s)", place->what, mode,
                   errno == EROFS ? ", a read-only file system" : "");
        return false;
    }
    if (place->is_private && (status->st_mode & 0077)) {
        g_autofree char *mend = chmod_command("700", place->path);
        doctor_add(doctor, DOCTOR_WARN, "directory", place->path, mend,
                   "the %s directory may be read by others (mode %s): logs and checkouts are in it",
                   place->what, mode);
        return false;
    }
    return true;
}

/* The nearest existing directory at or above `path`; free with g_free(). */
static char *nearest_existing(const char *path)
{
    g_autofree char *at = g_strdup(path);
    struct stat status;
    while (stat(at, &status) < 0 && strcmp(at, "/") != 0 && strcmp(at, ".") != 0) {
        char *above = g_path_get_dirname(at);
        g_free(at);
        at = above;
    }
    return g_steal_pointer(&at);
}

static void judge_absent(struct doctor *doctor, const struct place *place)
{
    g_autofree char *above = nearest_existing(place->path);
    struct stat status;
    if (stat(above, &status) == 0 && S_ISDIR(status.st_mode) && access(above, W_OK | X_OK) == 0) {
        doctor_add(doctor, DOCTOR_OK, "directory", place->path, NULL,
                   "the %s directory is not there yet and will be made", place->what);
        return;
    }
    g_autofree char *mend = g_strdup_printf(
        "make it and give it to this user, or name another place with --%s-dir", place->what);
    doctor_add(doctor, DOCTOR_FAIL, "directory", place->path, mend,
               "the %s directory is not there and can't be made in %s", place->what, above);
}

/* Who may write a directory above ours may put another one in our place. With the sticky bit (/tmp)
 * only owners may rename what they own. */
static void judge_parents(struct doctor *doctor, const struct place *place, GHashTable *told)
{
    g_autofree char *at = g_path_get_dirname(place->path);
    while (strcmp(at, ".") != 0) {
        struct stat status;
        bool there = stat(at, &status) == 0;
        bool is_open = there && (status.st_mode & 0022) && !(status.st_mode & S_ISVTX);
        bool is_foreign = there && status.st_uid != geteuid() && status.st_uid != 0;
        if ((is_open || is_foreign) && g_hash_table_add(told, g_strdup(at))) {
            g_autofree char *mode = format_mode(&status);
            g_autofree char *chmod = chmod_command("go-w", at);
            g_autofree char *quoted = g_shell_quote(at);
            g_autofree char *chown = g_strdup_printf("chown %u %s", (unsigned)geteuid(), quoted);
            bool by_all = is_open && (status.st_mode & 0002);
            doctor_add(doctor, by_all ? DOCTOR_FAIL : DOCTOR_WARN, "directory", at,
                       is_open ? chmod : chown,
                       "above the %s directory, %s (mode %s, user %u): %s could put another "
                       "directory in its place",
                       place->what,
                       by_all    ? "everybody may write"
                       : is_open ? "a group may write"
                                 : "the owner is neither this user nor root",
                       mode, (unsigned)status.st_uid, is_open ? "they" : "that user");
            return;
        }
        if (strcmp(at, "/") == 0) {
            return;
        }
        char *above = g_path_get_dirname(at);
        g_free(at);
        at = above;
    }
}

static void judge_filesystem(struct doctor *doctor, const struct place *place)
{
#ifdef __linux__
    g_autofree char *there = nearest_existing(place->path);
    struct statfs status;
    const char *trouble =
        statfs(there, &status) == 0 ? doctor_filesystem_trouble((uint64_t)status.f_type) : NULL;
    if (place->locks && trouble) {
        g_autofree char *mend = g_strdup_printf(
            "put it on a local disk: --%s-dir DIR, or PHANTOM_CI_%s_DIR in the environment",
            place->what, strcmp(place->what, "state") == 0 ? "STATE" : "CACHE");
        doctor_add(doctor, DOCTOR_WARN, "filesystem", place->path, mend,
                   "the %s directory lies on %s, where locks and SQLite's shared memory are not "
                   "dependable",
                   place->what, trouble);
    }
#else
    (void)doctor;
    (void)place;
#endif
}

static void check_place(struct doctor *doctor, const struct place *place, GHashTable *told)
{
    struct stat status;
    doctor_look_at(doctor, place->path);
    /* Links are accepted for the configuration alone, as everywhere in the program. */
    int found = place->is_private ? lstat(place->path, &status) : stat(place->path, &status);
    if (found < 0 && errno == ENOENT) {
        judge_absent(doctor, place);
    } else if (found < 0) {
        doctor_add(doctor, DOCTOR_FAIL, "directory", place->path,
                   "make the directories above it accessible for this user",
                   "the %s directory can't be looked at: %s", place->what, g_strerror(errno));
    } else if (judge_directory(doctor, place, &status)) {
        g_autofree char *mode = format_mode(&status);
        doctor_add(doctor, DOCTOR_OK, "directory", place->path, NULL,
                   "the %s directory, mode %s, is this user's alone to write", place->what, mode);
    }
    judge_parents(doctor, place, told);
    judge_filesystem(doctor, place);
}

/* -------------------------------------------------------------------- .env */

/* Only whether it is safe to read; what stands in it is told by the lines about webhooks. */
static void check_dotenv(struct doctor *doctor)
{
    g_autofree char *path = g_build_filename(doctor->context->paths.config, ".env", NULL);
    g_autofree char *quoted = g_shell_quote(path);
    struct stat status;
    doctor_look_at(doctor, path);
    if (stat(path, &status) < 0) {
        if (errno != ENOENT) {
            doctor_add(doctor, DOCTOR_FAIL, "env-file", path, "make it readable for this user",
                       "can't be looked at: %s", g_strerror(errno));
        } else {
            doctor_add(doctor, DOCTOR_INFO, "env-file", path, NULL,
                       "not there: no webhooks, so that no messages are sent");
        }
        return;
    }
    g_autofree char *mode = format_mode(&status);
    if (!S_ISREG(status.st_mode)) {
        g_autofree char *mend = g_strdup_printf("move it away: mv %s %s.old", quoted, quoted);
        doctor_add(doctor, DOCTOR_FAIL, "env-file", path, mend, "is not a regular file");
    } else if (status.st_uid != geteuid() && status.st_uid != 0) {
        g_autofree char *mend = g_strdup_printf("chown %u %s", (unsigned)geteuid(), quoted);
        doctor_add(doctor, DOCTOR_FAIL, "env-file", path, mend,
                   "belongs to user %u, neither to this user (%u) nor to root",
                   (unsigned)status.st_uid, (unsigned)geteuid());
    } else if (status.st_mode & 0077) {
        g_autofree char *mend = chmod_command("600", path);
        doctor_add(doctor, DOCTOR_FAIL, "env-file", path, mend,
                   "holds secrets, and others may %s it (mode %s)",
                   status.st_mode & 0044 ? "read" : "write or run", mode);
    } else {
        doctor_add(doctor, DOCTOR_OK, "env-file", path, NULL, "mode %s, for this user alone", mode);
    }
}

void doctor_check_directories(struct doctor *doctor)
{
    const struct paths *paths = &doctor->context->paths;
    const struct place places[] = {
        {"config", paths->config, false, false},
        {"state", paths->state, true, true},
        {"cache", paths->cache, true, true},
    };
    /* What lies above several of them is told once. */
    g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        check_place(doctor, &places[i], told);
    }
    doctor_check_contents(doctor);
    check_dotenv(doctor);
}
