#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/lock.h"
#include "base/refkey.h"
#include "base/text.h"
#include "base/wake.h"
#include "commands/all.h"
#include "commands/show.h"
#include "daemon/launch.h"
#include "daemon/reconcile.h"
#include "git/look.h"
#include "git/mirror.h"

enum { LOOK_TIMEOUT_MS = 30000, BRANCH_CHECK_US = 200 * 1000 };

struct order {
    struct command_context *context;
    const struct repo_config *repo;
    char *branch, *tag, *sha;
    char *key; /* of the branch or tag (base/refkey.h) */
    gboolean detach, force;
    int64_t job;
};

static volatile sig_atomic_t interrupts;

static void count_interrupt(int number)
{
    (void)number;
    interrupts = interrupts + 1;
}

/* As the daemon: a job that would only fail for want of room is not begun. */
static int check_disk(const struct order *order)
{
    g_autofree char *shortage =
        order->detach || order->force ? NULL : command_describe_shortage(order->context);
    return shortage ? command_fail_text(EXIT_CODE_TRY_AGAIN,
                                        "not run, %s; free some space (phantom_ci gc), leave it to "
                                        "the daemon with --detach, or run it all the same with "
                                        "--force",
                                        shortage)
                    : -1;
}

static int resolve_ref(struct order *order)
{
    if (order->tag && order->sha) {
        return command_fail_text(EXIT_CODE_USAGE, "a tag is one commit; leave --sha out");
    }
    if (order->branch || order->tag) {
        return command_take_ref(order->branch, order->tag, &order->key);
    }
    char **targets = order->repo->target_branches;
    if (targets[0] && !targets[1] && !text_is_glob(targets[0])) {
        order->branch = g_strdup(targets[0]);
        return command_take_ref(order->branch, NULL, &order->key);
    }
    return command_fail_text(EXIT_CODE_USAGE, "%s has more than one branch; name one with --branch",
                             order->repo->name);
}

/* An older commit is run only when it is on the branch. */
static int resolve_older_sha(struct order *order)
{
    const struct git_remote remote = {order->repo->url, order->repo->ssh_key_path};
    const struct git_limits limits = {(int)order->repo->fetch_timeout_ms, -1,
                                      order->repo->fetch_max_bytes};
    g_autoptr(GError) error = NULL;
    struct mirror *mirror = NULL;
    if (paths_ensure(&order->context->paths, &error)) {
        mirror = mirror_open(order->context->paths.cache, &remote, &limits, &error);
    }
    char *full = NULL;
    bool found = mirror && mirror_find_on_branch(mirror, order->branch, order->sha, &full, &error);
    mirror_close(mirror);
    if (!found) {
        command_fail(error);
        return error_has_code(error, ERROR_NOT_FOUND) || error_has_code(error, ERROR_INVALID)
                   ? EXIT_CODE_NEGATIVE
                   : error_exit_code(error);
    }
    g_free(order->sha);
    order->sha = full;
    return -1;
}

static int resolve_tip(struct order *order)
{
    const struct git_remote remote = {order->repo->url, order->repo->ssh_key_path};
    g_autofree char *full = refkey_full(order->key);
    const char *const wanted[] = {full, NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) refs = git_look_now(&remote, wanted, LOOK_TIMEOUT_MS, &error);
    if (!refs) {
        return command_fail(error);
    }
    const char *tip = g_hash_table_lookup(refs, full);
    if (!tip) {
        g_autofree char *name = text_escape(order->tag ? order->tag : order->branch);
        return command_fail_text(EXIT_CODE_NOT_FOUND, "%s has no %s \"%s\"", order->repo->name,
                                 order->tag ? "tag" : "branch", name);
    }
    order->sha = g_strdup(tip);
    return -1;
}

/* The job and its lock come into the world together, so that the daemon never takes it for its own.
 */
static int enqueue(struct order *order, int *lock_fd)
{
    struct store *store = order->context->store;
    g_autoptr(GError) error = NULL;
    struct job_request request = {.repo = order->repo->name,
                                  .branch = order->key,
                                  .sha = order->sha,
                                  .trigger = JOB_TRIGGER_RUN,
                                  .priority = order->repo->priority};
    bool good = paths_ensure(&order->context->paths, &error) && store_begin(store, &error) &&
                store_job_enqueue(store, &request, clock_now_ms(), &order->job, NULL, &error);
    if (good && !order->detach) {
        *lock_fd = launch_take_lock(&order->context->paths, order->job, &error);
        good = *lock_fd >= 0;
    }
    good = good && store_commit(store, &error);
    if (!good) {
        store_rollback(store);
        return command_fail(error);
    }
    return -1;
}

static int detach(const struct order *order)
{
    g_autofree char *lock = paths_daemon_lock(&order->context->paths);
    printf("job %" G_GINT64_FORMAT " queued: %s of %s\n", order->job, text_short_id(order->sha),
           order->repo->name);
    if (!lock_is_held(lock)) {
        fprintf(stderr, "phantom_ci: no daemon is running; the job waits for one\n");
    }
    wake_daemon(&order->context->paths);
    return EXIT_CODE_OK;
}

static void pass_interrupt(const struct order *order, enum job_stop stop)
{
    enum cancel_outcome outcome;
    store_job_stop(order->context->store, order->job, stop,
                   stop == JOB_STOP_KILL ? "killed at the terminal" : "canceled at the terminal",
                   clock_now_ms(), &outcome, NULL);
    wake_job(&order->context->paths, order->job);
}

/* Waits for phantom_ci-job; Ctrl-C cancels the job, a second one kills it. */
static int wait_for(const struct order *order, pid_t child)
{
    int status = 0;
    int passed = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        if (interrupts > passed) {
            passed = interrupts;
            pass_interrupt(order, passed > 1 ? JOB_STOP_KILL : JOB_STOP_CANCEL);
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool branch_is_busy(const struct order *order)
{
    struct job_filter filter = {.repo = order->repo->name,
                                .branch = order->key,
                                .has_state = true,
                                .state = JOB_RUNNING,
                                .limit = 1};
    g_autoptr(GPtrArray) jobs = store_jobs(order->context->store, &filter, NULL);
    return jobs && jobs->len > 0;
}

/* One job a branch or tag at a time: the other one comes first. */
static void wait_for_branch(const struct order *order)
{
    bool told = false;
    while (branch_is_busy(order) && interrupts == 0) {
        if (!told) {
            fprintf(stderr, "phantom_ci: another job of this %s is running; waiting for its end\n",
                    order->tag ? "tag" : "branch");
            told = true;
        }
        g_usleep(BRANCH_CHECK_US);
    }
}

static int report(const struct order *order)
{
    g_autoptr(GError) error = NULL;
    bool interrupted = false;
    reconcile_job(&order->context->paths, order->context->store, order->repo, order->job,
                  &interrupted, NULL);
    struct job *job = store_job_get(order->context->store, order->job, &error);
    if (!job) {
        return command_fail(error);
    }
    g_autofree char *took = show_elapsed(job->started_ms, job->finished_ms);
    g_autofree char *reason = text_escape(job->reason);
    fprintf(stderr, "%s#%" G_GINT64_FORMAT " ", job->repo, job->id);
    tty_print(stderr, show_state_colour(job->state), job_state_name(job->state));
    fprintf(stderr, " in %s%s%s\n", took, *reason ? ": " : "", reason);
    int code = job->state == JOB_SUCCESS ? EXIT_CODE_OK : EXIT_CODE_NEGATIVE;
    job_free(job);
    return code;
}

static int run_in_foreground(struct order *order, int lock_fd)
{
    struct sigaction action = {.sa_handler = count_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int exit_code;
    do {
        wait_for_branch(order);
        if (interrupts > 0) {
            pass_interrupt(order, JOB_STOP_CANCEL);
            break;
        }
        g_autoptr(GError) error = NULL;
        pid_t child = launch_job(&order->context->paths, order->context->config, order->repo,
                                 order->job, lock_fd, LAUNCH_OUTPUT_PLAIN, &error);
        if (child < 0) {
            store_job_finish(order->context->store, order->job, JOB_ERROR, error->message,
                             clock_now_ms(), NULL, NULL);
            return command_fail(error);
        }
        exit_code = wait_for(order, child);
    } while (exit_code == LAUNCH_EXIT_NOT_CLAIMED && branch_is_busy(order));
    wake_daemon(&order->context->paths);
    return -1;
}

static int carry_out(struct order *order)
{
    auto_fd lock_fd = -1;
    int code = enqueue(order, &lock_fd);
    if (code < 0 && order->detach) {
        return detach(order);
    }
    if (code < 0) {
        code = run_in_foreground(order, lock_fd);
    }
    fd_close(&lock_fd);
    return code < 0 ? report(order) : code;
}

int command_run(const struct command *command, int argc, char **argv)
{
    struct command_context context = {.json = false};
    struct order order = {.context = &context};
    const GOptionEntry entries[] = {
        {"branch", 'b', 0, G_OPTION_ARG_FILENAME, &order.branch, "the branch to run", "BRANCH"},
        {"tag", 0, 0, G_OPTION_ARG_FILENAME, &order.tag, "the tag to run", "TAG"},
        {"sha", 0, 0, G_OPTION_ARG_STRING, &order.sha, "a commit of that branch instead of its tip",
         "SHA"},
        {"detach", 'd', 0, G_OPTION_ARG_NONE, &order.detach, "leave it to the daemon", NULL},
        {"force", 0, 0, G_OPTION_ARG_NONE, &order.force,
         "also when the disk has less than min_free", NULL},
        G_OPTION_ENTRY_NULL,
    };
    int code = command_parse(command, &context, entries, 0, &argc, &argv, 1, 1);
    if (code < 0) {
        code = command_load_config(&context);
    }
    if (code < 0) {
        order.repo = command_find_repo(&context, argv[1]);
        code = order.repo ? resolve_ref(&order) : EXIT_CODE_NOT_FOUND;
    }
    if (code < 0) {
        code = check_disk(&order);
    }
    if (code < 0) {
        code = order.sha ? resolve_older_sha(&order) : resolve_tip(&order);
    }
    if (code < 0) {
        code = command_open_store(&context, true, NULL);
    }
    if (code < 0) {
        code = carry_out(&order);
    }
    g_free(order.branch);
    g_free(order.tag);
    g_free(order.key);
    g_free(order.sha);
    command_context_clear(&context);
    return code;
}
