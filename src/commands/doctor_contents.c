/* What lies in our directories: one run as root, or somebody's hand, leaves files there that this
 * user can't write, and links that lead elsewhere. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "commands/doctor.h"

enum { ENTRIES_MAX = 10000 };

struct findings {
    unsigned foreign, links;
    char *first_foreign, *first_link; /* names */
    unsigned owner;                   /* of first_foreign */
};

static void count(unsigned *number, char **first, const char *name)
{
    if ((*number)++ == 0) {
        *first = g_strdup(name);
    }
}

static void look_at_entry(int directory_fd, const char *name, struct findings *findings)
{
    struct stat status;
    if (fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        return; /* it has gone meanwhile */
    }
    if (status.st_uid != geteuid()) {
        if (findings->foreign == 0) {
            findings->owner = (unsigned)status.st_uid;
        }
        count(&findings->foreign, &findings->first_foreign, name);
    }
    if (S_ISLNK(status.st_mode)) {
        count(&findings->links, &findings->first_link, name);
    }
}

static void report(struct doctor *doctor, const char *path, const struct findings *findings)
{
    g_autofree char *quoted = g_shell_quote(path);
    if (findings->foreign > 0) {
        g_autofree char *mend =
            g_strdup_printf("as root: chown -R %u %s, and run phantom_ci as one user only",
                            (unsigned)geteuid(), quoted);
        doctor_add(doctor, DOCTOR_FAIL, "contents", path, mend,
                   "%u of what is in it belongs to others, as \"%s\" to user %u", findings->foreign,
                   findings->first_foreign, findings->owner);
    }
    if (findings->links > 0) {
        g_autofree char *mend = g_strdup_printf("see who put them there, then: find %s -maxdepth 1 "
                                                "-type l -delete",
                                                quoted);
        doctor_add(doctor, DOCTOR_FAIL, "contents", path, mend,
                   "%u link%s in it, as \"%s\"; none is made by phantom_ci, and none is followed",
                   findings->links, findings->links == 1 ? "" : "s", findings->first_link);
    }
}

static void look_into(struct doctor *doctor, const char *path)
{
    doctor_look_at(doctor, path);
    auto_fd fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        return; /* absent, or told by the line of the directory itself */
    }
    int directory_fd = g_steal_fd(&fd); /* closed with the stream */
    struct findings findings = {.foreign = 0};
    const struct dirent *entry;
    for (unsigned i = 0; i < ENTRIES_MAX && (entry = readdir(directory)); i++) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            look_at_entry(directory_fd, entry->d_name, &findings);
        }
    }
    closedir(directory);
    report(doctor, path, &findings);
    g_free(findings.first_foreign);
    g_free(findings.first_link);
}

/* Not deeper: what steps have written is looked at by the checkout, each time. Modes do not count
 * here: above all of it is a directory that nobody else may enter. */
void doctor_check_contents(struct doctor *doctor)
{
    const struct paths *paths = &doctor->context->paths;
    const char *const places[][2] = {{paths->state, NULL},       {paths->state, "logs"},
                                     {paths->state, "jobs"},     {paths->cache, NULL},
                                     {paths->cache, "mirrors"},  {paths->cache, "workspaces"},
                                     {paths->cache, "checkouts"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = g_build_filename(places[i][0], places[i][1], NULL);
        look_into(doctor, path);
    }
}
