/*
 * The remotes: each is looked at as the daemon looks, many at once, each with a time limit, all
 * within the time of the visit.
 */
#include "commands/doctor_remotes.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/refkey.h"
#include "base/text.h"
#include "base/units.h"
#include "config/host_steps.h"
#include "git/hostkey.h"
#include "git/look.h"
#include "git/mirror.h"
#include "git/settings.h"
#include "poll/remote.h"

enum { LOOKS_AT_ONCE = 16, BRANCHES_SHOWN = 3 };

struct visit {
    const struct remote *remote;
    struct git_look *look; /* or NULL: not begun, or over */
    bool begun;
    int64_t begun_ms, took_ms;
    GHashTable *refs; /* what it has of what is asked for (git/refset.h); NULL = see `error` */
    GError *error;    /* neither: it was not looked at */
};

static void visit_free(void *data)
{
    struct visit *visit = data;
    git_look_free(visit->look);
    g_clear_pointer(&visit->refs, g_hash_table_unref);
    g_clear_error(&visit->error);
    g_free(visit);
}

static const struct repo_config *section_of(const struct remote *remote, unsigned i)
{
    return g_ptr_array_index(remote->sections, i);
}

/* ------------------------------------------------------------ look at all */

static void begin(struct doctor *doctor, struct git_settings *settings, struct visit *visit)
{
    const struct git_remote remote = {visit->remote->url, visit->remote->ssh_key_path};
    doctor_look_at(doctor, visit->remote->url);
    visit->begun = true;
    visit->begun_ms = clock_monotonic_ms();
    visit->look = git_look_start(&remote, git_settings_redirects_leak(settings, remote.url),
                                 (const char *const *)visit->remote->wanted, &visit->error);
}

static void end(struct visit *visit)
{
    visit->took_ms = clock_monotonic_ms() - visit->begun_ms;
    visit->refs = git_look_finish(visit->look, &visit->error);
    g_clear_pointer(&visit->look, git_look_free);
}

static int64_t deadline_of(const struct doctor *doctor, const struct visit *visit)
{
    return MIN(visit->begun_ms + doctor->context->config->look_timeout_ms, doctor->end_ms);
}

/* Waits until one of the looks has something to read or is at its end; false after a signal. */
static bool wait_for_looks(const struct doctor *doctor, const GPtrArray *visits)
{
    struct pollfd items[1 + 2 * LOOKS_AT_ONCE] = {{.fd = doctor->cancel_fd, .events = POLLIN}};
    unsigned count = 1;
    int64_t until_ms = doctor->end_ms;
    for (unsigned i = 0; i < visits->len && count < G_N_ELEMENTS(items); i++) {
        const struct visit *visit = g_ptr_array_index(visits, i);
        if (visit->look) {
            int fds[2];
            git_look_fds(visit->look, fds);
            items[count++] = (struct pollfd){.fd = fds[0], .events = POLLIN};
            items[count++] = (struct pollfd){.fd = fds[1], .events = POLLIN};
            int64_t visit_ms = deadline_of(doctor, visit);
            until_ms = MIN(until_ms, visit_ms);
        }
    }
    int64_t left_ms = clock_left_ms(until_ms);
    return poll(items, count, (int)MIN(left_ms, 60000)) < 0 || items[0].revents == 0;
}

static void attend(const struct doctor *doctor, struct visit *visit)
{
    if (!git_look_read(visit->look)) {
        end(visit);
    } else if (clock_monotonic_ms() >= deadline_of(doctor, visit)) {
        git_look_kill(visit->look);
        end(visit);
    }
}

static void kill_all(const GPtrArray *visits)
{
    for (unsigned i = 0; i < visits->len; i++) {
        struct visit *visit = g_ptr_array_index(visits, i);
        g_clear_pointer(&visit->look, git_look_free);
    }
}

static void look_at_all(struct doctor *doctor, struct git_settings *settings,
                        const GPtrArray *visits)
{
    unsigned at_once = MIN(doctor->context->config->max_looks, LOOKS_AT_ONCE);
    for (;;) {
        unsigned under_way = 0;
        for (unsigned i = 0; i < visits->len; i++) {
            struct visit *visit = g_ptr_array_index(visits, i);
            if (visit->look) {
                attend(doctor, visit);
            }
            under_way += visit->look ? 1 : 0;
        }
        for (unsigned i = 0; i < visits->len && under_way < at_once; i++) {
            struct visit *visit = g_ptr_array_index(visits, i);
            if (!visit->begun && doctor_time_left_ms(doctor, 1) > 0) {
                begin(doctor, settings, visit);
                under_way += visit->look ? 1 : 0;
            }
        }
        if (under_way == 0) {
            return;
        }
        if (!wait_for_looks(doctor, visits)) {
            kill_all(visits);
            doctor_give_up();
        }
    }
}

/* ----------------------------------------------------------------- reports */

/* A path on this machine: what git says of it is often less than what can be seen. */
static char *explain_path(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0) {
        return g_strdup_printf("%s: %s", path, g_strerror(errno));
    }
    if (S_ISDIR(status.st_mode) && access(path, R_OK | X_OK) < 0) {
        return g_strdup_printf("%s can't be read by user %u (it belongs to user %u, mode %04o)",
                               path, (unsigned)geteuid(), (unsigned)status.st_uid,
                               (unsigned)(status.st_mode & 07777));
    }
    return NULL;
}

static void report_failure(struct doctor *doctor, const struct visit *visit, const struct url *url,
                           const struct repo_config *repo)
{
    g_autofree char *what = NULL;
    g_autofree char *mend = NULL;
    git_explain_split(visit->error->message, &what, &mend);
    bool is_late = error_has_code(visit->error, ERROR_LIMIT);
    /* A path that did not answer in time may hang whoever asks for it, too. */
    g_autofree char *seen = url->scheme == URL_FILE && !is_late ? explain_path(url->path) : NULL;
    if (!mend || seen) {
        g_free(mend);
        mend = is_late ? g_strdup("see the network and the server, or raise look_timeout in "
                                  "config.toml")
                       : g_strdup_printf("mend `path` at line %u of Repo.toml, or what it names",
                                         repo->line);
    }
    doctor_add(doctor, DOCTOR_FAIL, "remote", repo->name, mend, "%s", seen ? seen : what);
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static unsigned count_tags(const struct repo_config *repo, GHashTable *refs)
{
    unsigned count = 0;
    GHashTableIter iterator;
    void *name = NULL;
    g_hash_table_iter_init(&iterator, refs);
    while (g_hash_table_iter_next(&iterator, &name, NULL)) {
        const char *tag = refkey_tag(name);
        count += tag && repo_config_wants_tag(repo, tag) ? 1 : 0;
    }
    return count;
}

/* "main 0123456789, dev abcdef0123 and 4 more, 12 tags": of what the section wants. */
static char *describe_branches(const struct repo_config *repo, GHashTable *refs)
{
    unsigned count = 0;
    unsigned wanted = 0;
    g_autofree const char **names = (const char **)g_hash_table_get_keys_as_array(refs, &count);
    qsort(names, count, sizeof(*names), compare_names);
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < count; i++) {
        const char *branch = refkey_branch(refkey_of(names[i]));
        if (!branch || !repo_config_wants_branch(repo, branch)) {
            continue;
        }
        wanted++;
        if (wanted <= BRANCHES_SHOWN) {
            g_string_append_printf(text, "%s%s %s", text->len ? ", " : "", branch,
                                   text_short_id(g_hash_table_lookup(refs, names[i])));
        }
    }
    if (wanted > BRANCHES_SHOWN) {
        g_string_append_printf(text, " and %u more", wanted - BRANCHES_SHOWN);
    }
    if (wanted > 0 && repo->target_tags[0]) {
        unsigned tags = count_tags(repo, refs);
        g_string_append_printf(text, ", %u tag%s", tags, tags == 1 ? "" : "s");
    }
    return wanted > 0 ? g_strdup(text->str) : NULL;
}

/* True when the one target is a name that the remote has, with its tip. */
static bool report_target(struct doctor *doctor, const struct repo_config *repo, GHashTable *refs,
                          const char *target, const char **tip)
{
    if (text_is_glob(target)) {
        return false;
    }
    g_autofree char *full = g_strconcat(REFKEY_HEADS, target, NULL);
    *tip = g_hash_table_lookup(refs, full);
    if (!*tip) {
        g_autofree char *mend =
            g_strdup_printf("push it, or change target_branch at line %u of Repo.toml", repo->line);
        doctor_add(doctor, DOCTOR_FAIL, "branch", repo->name, mend,
                   "the remote has no branch \"%s\"; nothing else is run in its place", target);
        return false;
    }
    if (!repo_config_wants_branch(repo, target)) {
        doctor_add(doctor, DOCTOR_WARN, "branch", repo->name,
                   "take it out of branch_exclusions or of target_branch",
                   "the branch \"%s\" is a target and excluded at once, so that it never runs",
                   target);
        return false;
    }
    return true;
}

/* Whether the tip has a workflow: when the mirror knows the commit already, else nobody knows. */
static void report_workflow(struct doctor *doctor, const struct repo_config *repo,
                            const char *branch, const char *tip)
{
    const struct git_remote remote = {repo->url, repo->ssh_key_path};
    g_autofree char *mirror = mirror_path(doctor->context->paths.cache, &remote);
    if (host_steps_are_set(repo) || access(mirror, F_OK) < 0 ||
        doctor_time_left_ms(doctor, 1) == 0) {
        return;
    }
    g_autofree char *git_dir = g_strconcat("--git-dir=", mirror, NULL);
    g_autofree char *path = g_strdup_printf("workflow/%s.toml", branch);
    const char *arguments[] = {git_dir, "ls-tree", tip, "--", path, NULL};
    g_auto(GStrv) environment = git_environment_local(NULL);
    const struct git_limits limits = {doctor_time_left_ms(doctor, DOCTOR_PROGRAM_MS),
                                      doctor->cancel_fd, 0};
    struct spawn_result result = {0};
    doctor_look_at(doctor, mirror);
    if (git_run(arguments, (const char *const *)environment, &limits, &result, NULL)) {
        bool there = result.out_length > 0;
        g_autofree char *mend =
            there ? NULL : g_strdup_printf("commit %s to the branch \"%s\"", path, branch);
        doctor_add(doctor, there ? DOCTOR_OK : DOCTOR_WARN, "workflow", repo->name, mend,
                   there ? "%s is in the tip %s" : "%s is not in the tip %s: its jobs are skipped",
                   path, text_short_id(tip));
    }
    spawn_result_clear(&result);
}

static void report_success(struct doctor *doctor, const struct visit *visit,
                           const struct repo_config *repo)
{
    g_autofree char *took = visit->took_ms < 1000 ? g_strdup_printf("%d ms", (int)visit->took_ms)
                                                  : units_format_elapsed(visit->took_ms);
    g_autofree char *url = url_for_display(repo->url);
    g_autofree char *branches = describe_branches(repo, visit->refs);
    bool named = repo_config_has_named_branches(repo);
    if (branches || named) {
        doctor_add(doctor, DOCTOR_OK, "remote", repo->name, NULL, "%s answers in %s%s%s", url, took,
                   branches ? ": " : "", branches ? branches : "");
    } else {
        doctor_add(doctor, DOCTOR_WARN, "remote", repo->name,
                   "push a branch, or change target_branch in Repo.toml",
                   "%s answers in %s, but has no branch that is asked for", url, took);
    }
    for (char **target = repo->target_branches; *target; target++) {
        const char *tip = NULL;
        if (report_target(doctor, repo, visit->refs, *target, &tip)) {
            report_workflow(doctor, repo, *target, tip);
        }
    }
}

static void report_section(struct doctor *doctor, const struct visit *visit, const struct url *url,
                           const struct repo_config *repo)
{
    g_autofree char *shown = url_for_display(repo->url);
    if (visit->refs) {
        report_success(doctor, visit, repo);
    } else if (visit->error) {
        report_failure(doctor, visit, url, repo);
    } else if (doctor->offline && url->scheme != URL_FILE) {
        doctor_add(doctor, DOCTOR_SKIPPED, "remote", repo->name, NULL,
                   "%s was not asked: --offline", shown);
    } else {
        g_autofree char *quoted = g_shell_quote(repo->name);
        g_autofree char *mend = g_strdup_printf("phantom_ci doctor %s, or --timeout 10m", quoted);
        doctor_add(doctor, DOCTOR_SKIPPED, "remote", repo->name, mend,
                   "%s was not asked: the time for all remotes was over", shown);
    }
}

/* A key that has changed is a known one, too; the line of the remote tells both. */
static bool names_changed_key(const struct visit *visit)
{
    return visit->error && strstr(visit->error->message, "the host key of ") &&
           strstr(visit->error->message, " has changed");
}

static enum doctor_host host_of(const struct visit *visit)
{
    if (visit->refs) {
        return DOCTOR_HOST_ANSWERED;
    }
    return error_has_code(visit->error, ERROR_LIMIT) ? DOCTOR_HOST_SILENT : DOCTOR_HOST_FAILED;
}

static void report(struct doctor *doctor, const struct visit *visit, GHashTable *hosts)
{
    const struct remote *remote = visit->remote;
    struct url url;
    g_autoptr(GError) error = NULL;
    if (!url_parse(remote->url, &url, &error)) {
        doctor_add(doctor, DOCTOR_FAIL, "remote", section_of(remote, 0)->name,
                   "mend `path` in Repo.toml", "%s", error->message);
        return;
    }
    if (url.scheme == URL_SSH && visit->begun && !names_changed_key(visit)) {
        g_autofree char *host = g_strdup_printf("%s:%s", url.host, url.port ? url.port : "");
        if (g_hash_table_add(hosts, g_steal_pointer(&host))) {
            doctor_check_host_key(doctor, &url, host_of(visit));
        }
    }
    for (unsigned i = 0; i < remote->sections->len; i++) {
        if (doctor_is_asked_for(doctor, section_of(remote, i)->name)) {
            report_section(doctor, visit, &url, section_of(remote, i));
        }
    }
    url_clear(&url);
}

/* ------------------------------------------------------------ which remotes */

static bool is_wanted(const struct doctor *doctor, const struct remote *remote)
{
    for (unsigned i = 0; i < remote->sections->len; i++) {
        if (doctor_is_asked_for(doctor, section_of(remote, i)->name)) {
            return true;
        }
    }
    return false;
}

static int compare_visits(const void *left, const void *right)
{
    const struct visit *const *one = left;
    const struct visit *const *other = right;
    unsigned line = section_of((*one)->remote, 0)->line;
    unsigned other_line = section_of((*other)->remote, 0)->line;
    return line < other_line ? -1 : line > other_line;
}

/* In the order of Repo.toml; those that --offline forbids count as begun and have no answer. */
static GPtrArray *list_visits(const struct doctor *doctor, GHashTable *remotes)
{
    GPtrArray *visits = g_ptr_array_new_with_free_func(visit_free);
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, remotes);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        const struct remote *remote = value;
        if (!is_wanted(doctor, remote)) {
            continue;
        }
        struct visit *visit = g_new0(struct visit, 1);
        visit->remote = remote;
        g_ptr_array_add(visits, visit);
    }
    g_ptr_array_sort(visits, compare_visits);
    return visits;
}

static void check_keys(struct doctor *doctor, const GPtrArray *visits)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < visits->len; i++) {
        const struct visit *visit = g_ptr_array_index(visits, i);
        char *key = visit->remote->ssh_key_path;
        if (key && g_hash_table_add(seen, key)) {
            doctor_check_ssh_key(doctor, key);
        }
    }
}

static bool is_on_this_machine(const char *text)
{
    struct url url;
    bool here = url_parse(text, &url, NULL) && url.scheme == URL_FILE;
    url_clear(&url);
    return here;
}

void doctor_check_remotes(struct doctor *doctor)
{
    if (!doctor->context->config) {
        doctor_add(doctor, DOCTOR_SKIPPED, "remote", "all", "mend the configuration first",
                   "not asked: the configuration can't be loaded");
        return;
    }
    g_autoptr(GHashTable) remotes = remotes_from_config(doctor->context->config);
    g_autoptr(GPtrArray) visits = list_visits(doctor, remotes);
    check_keys(doctor, visits);
    g_autoptr(GPtrArray) asked = g_ptr_array_new();
    for (unsigned i = 0; i < visits->len; i++) {
        struct visit *visit = g_ptr_array_index(visits, i);
        if (!doctor->offline || is_on_this_machine(visit->remote->url)) {
            g_ptr_array_add(asked, visit);
        }
    }
    struct git_settings *settings = git_settings_new();
    git_settings_refresh(settings);
    look_at_all(doctor, settings, asked);
    git_settings_free(settings);
    g_autoptr(GHashTable) hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < visits->len; i++) {
        report(doctor, g_ptr_array_index(visits, i), hosts);
    }
}
