#include "poll/logins.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/environ.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/libexec.h"
#include "base/spawn.h"
#include "git/url.h"

enum {
    ASK_MAX_MS = 60 * 1000, /* two of git's helper calls, and a moment */
    LINE_MAX_BYTES = 4096,
};

enum stage {
    ASKING, /* the credential helpers are asked */
    TRYING, /* a look with the login is under way */
    ENDING, /* the verdict was told, the process will end by itself */
};

struct conversation {
    char *key; /* NULL once it is ENDING */
    enum stage stage;
    pid_t child;
    int to_child, from_child;
    GString *line;    /* of its answer, as far as it has come */
    void *trial;      /* the remote that tries the login; or NULL */
    GQueue waiting;   /* of further remotes */
    bool was_refused; /* the first login was */
    int64_t due_ms;   /* monotonic: then it is ended; INT64_MAX while TRYING */
    int at;           /* in the poll set, or -1 */
};

struct logins {
    struct logins_events events;
    int pipe; /* the end for writing; -1 = none */
    GPtrArray *conversations;
    GHashTable *by_key;   /* of those that are not ENDING */
    GHashTable *by_owner; /* -> the conversation that it tries or waits for */
};

/* ------------------------------------------------------------------------------- processes */

static void conversation_free(void *data)
{
    struct conversation *conversation = data;
    fd_close(&conversation->to_child);
    fd_close(&conversation->from_child);
    if (conversation->child > 0) {
        spawn_kill_group(conversation->child, SIGKILL);
        while (waitpid(conversation->child, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    g_queue_clear(&conversation->waiting);
    g_string_free(conversation->line, TRUE);
    g_free(conversation->key);
    g_free(conversation);
}

/* What git_environment_remote() picks from. */
static const char *const variables[] = {
    "PATH",           "HOME",          "USER",         "LOGNAME",     "TMPDIR",
    "SSH_AUTH_SOCK",  "http_proxy",    "HTTP_PROXY",   "https_proxy", "HTTPS_PROXY",
    "all_proxy",      "ALL_PROXY",     "no_proxy",     "NO_PROXY",    "XDG_CONFIG_HOME",
    "GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR", NULL};

static bool spawn(const struct logins *logins, struct conversation *conversation, int in, int err,
                  GError **error)
{
    g_autofree char *executable = libexec_find("phantom_ci-credential", error);
    if (!executable) {
        return false;
    }
    GPtrArray *list = g_ptr_array_new();
    environ_pick(list, variables);
    environ_pick_sanitizers(list);
    g_ptr_array_add(list, NULL);
    g_auto(GStrv) environment = (char **)g_ptr_array_free(list, FALSE);
    const char *const argv[] = {executable, NULL};
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = argv;
    options.envp = (const char *const *)environment;
    options.directory = "/";
    options.stdin_fd = in;
    options.stdout_fd = logins->pipe;
    options.stderr_fd = err;
    options.new_session = true;
    options.parent_death_signal = SIGKILL;
    conversation->child = spawn_start(&options, NULL, error);
    return conversation->child > 0;
}

static bool start(const struct logins *logins, struct conversation *conversation, GError **error)
{
    int in[2] = {-1, -1};
    int err[2] = {-1, -1};
    bool good = fd_pipe(in, error) && fd_pipe(err, error) &&
                spawn(logins, conversation, in[0], err[1], error) &&
                fd_set_nonblocking(in[1], true, error) && fd_set_nonblocking(err[0], true, error);
    fd_close(&in[0]);
    fd_close(&err[1]);
    conversation->to_child = in[1];
    conversation->from_child = err[0];
    return good;
}

/* A line is always shorter than what the pipe holds. */
static bool say(struct conversation *conversation, const char *line)
{
    return fd_write_all(conversation->to_child, line, strlen(line), NULL) &&
           fd_write_all(conversation->to_child, "\n", 1, NULL);
}

/* --------------------------------------------------------------------------- conversations */

static void leave_key(struct logins *logins, struct conversation *conversation)
{
    if (conversation->key) {
        g_hash_table_remove(logins->by_key, conversation->key);
        g_clear_pointer(&conversation->key, g_free);
    }
}

/* The login is known to be good or of no use: the process ends once it has told its helpers. */
static void let_end(struct logins *logins, struct conversation *conversation)
{
    leave_key(logins, conversation);
    fd_close(&conversation->to_child);
    conversation->stage = ENDING;
    conversation->due_ms = clock_monotonic_ms() + ASK_MAX_MS;
}

static void settle(struct logins *logins, void *owner, const char *why)
{
    g_hash_table_remove(logins->by_owner, owner);
    logins->events.settled(owner, why, logins->events.data);
}

static void settle_waiting(struct logins *logins, struct conversation *conversation,
                           const char *why)
{
    void *owner;
    while ((owner = g_queue_pop_head(&conversation->waiting))) {
        settle(logins, owner, why);
    }
}

static void fail(struct logins *logins, struct conversation *conversation, const char *why)
{
    void *trial = g_steal_pointer(&conversation->trial);
    let_end(logins, conversation);
    if (trial) {
        settle(logins, trial, why);
    }
    settle_waiting(logins, conversation, why);
}

/* One remote tries the login. Without one it is of no interest any more. */
static void try_next(struct logins *logins, struct conversation *conversation)
{
    conversation->trial = g_queue_pop_head(&conversation->waiting);
    conversation->stage = TRYING;
    conversation->due_ms = INT64_MAX;
    if (conversation->trial) {
        /* It stays in by_owner: its look will tell how it went. */
        logins->events.settled(conversation->trial, NULL, logins->events.data);
    } else {
        let_end(logins, conversation);
    }
}

static struct conversation *begin(struct logins *logins, const char *key, const char *url,
                                  GError **error)
{
    struct conversation *conversation = g_new0(struct conversation, 1);
    conversation->line = g_string_new(NULL);
    conversation->to_child = -1;
    conversation->from_child = -1;
    conversation->at = -1;
    conversation->due_ms = clock_monotonic_ms() + ASK_MAX_MS;
    g_queue_init(&conversation->waiting);
    if (!start(logins, conversation, error)) {
        conversation_free(conversation);
        return NULL;
    }
    conversation->key = g_strdup(key);
    g_ptr_array_add(logins->conversations, conversation);
    g_hash_table_insert(logins->by_key, conversation->key, conversation);
    say(conversation, url); /* one that has ended already shows at the other pipe */
    return conversation;
}

static void refuse_trial(struct logins *logins, struct conversation *conversation, bool refused)
{
    bool first = refused && !conversation->was_refused;
    if (first && say(conversation, "reject")) {
        conversation->was_refused = true;
        conversation->stage = ASKING;
        conversation->due_ms = clock_monotonic_ms() + ASK_MAX_MS;
        g_queue_push_head(&conversation->waiting, g_steal_pointer(&conversation->trial));
        return;
    }
    if (refused) {
        say(conversation, "reject");
    }
    fail(logins, conversation, "the server refuses the user name and the password");
}

bool logins_have_room(const struct logins *logins, const char *key)
{
    return logins->conversations->len < LOGINS_AT_ONCE ||
           g_hash_table_contains(logins->by_key, key);
}

void logins_ask(struct logins *logins, void *owner, const char *key, const char *url, bool refused)
{
    struct conversation *conversation = g_hash_table_lookup(logins->by_owner, owner);
    if (conversation && conversation->trial == owner) {
        refuse_trial(logins, conversation, refused);
        return;
    }
    if (conversation) {
        return; /* it waits already */
    }
    g_autoptr(GError) error = NULL;
    conversation = g_hash_table_lookup(logins->by_key, key);
    if (!conversation) {
        conversation = begin(logins, key, url, &error);
    }
    if (!conversation) {
        logins->events.settled(owner, error->message, logins->events.data);
        return;
    }
    g_queue_push_tail(&conversation->waiting, owner);
    g_hash_table_insert(logins->by_owner, owner, conversation);
}

void logins_worked(struct logins *logins, void *owner)
{
    struct conversation *conversation = g_hash_table_lookup(logins->by_owner, owner);
    if (!conversation || conversation->trial != owner) {
        logins_drop(logins, owner);
        return;
    }
    g_hash_table_remove(logins->by_owner, owner);
    conversation->trial = NULL;
    say(conversation, "approve");
    let_end(logins, conversation);
    settle_waiting(logins, conversation, NULL);
}

void logins_drop(struct logins *logins, void *owner)
{
    struct conversation *conversation = g_hash_table_lookup(logins->by_owner, owner);
    if (!conversation) {
        return;
    }
    g_hash_table_remove(logins->by_owner, owner);
    if (conversation->trial == owner) {
        try_next(logins, conversation);
    } else {
        g_queue_remove(&conversation->waiting, owner);
    }
}

/* ---------------------------------------------------------------------------------- answers */

static void take_line(struct logins *logins, struct conversation *conversation)
{
    static const char failed[] = "failed ";
    const char *line = conversation->line->str;
    if (conversation->stage != ASKING) {
        return; /* nothing was asked */
    }
    if (strcmp(line, "filled") == 0) {
        try_next(logins, conversation);
    } else {
        fail(logins, conversation, g_str_has_prefix(line, failed) ? line + strlen(failed) : line);
    }
}

/* False at the end of the process. */
static bool read_answer(struct logins *logins, struct conversation *conversation)
{
    char bytes[512];
    ssize_t got = fd_read(conversation->from_child, bytes, sizeof(bytes));
    for (ssize_t i = 0; i < got; i++) {
        if (bytes[i] == '\n') {
            take_line(logins, conversation);
            g_string_truncate(conversation->line, 0);
        } else if (conversation->line->len < LINE_MAX_BYTES) {
            g_string_append_c(conversation->line, bytes[i]);
        }
    }
    return got > 0 || (got < 0 && errno == EAGAIN);
}

static void end(struct logins *logins, struct conversation *conversation, const char *why)
{
    if (conversation->stage == ASKING) {
        fail(logins, conversation, why);
    } else if (conversation->stage == TRYING) {
        /* Its look may go well all the same. */
        g_hash_table_remove(logins->by_owner, conversation->trial);
        conversation->trial = NULL;
        let_end(logins, conversation);
        settle_waiting(logins, conversation, NULL);
    }
    g_ptr_array_remove_fast(logins->conversations, conversation);
}

void logins_run(struct logins *logins, int64_t now_ms)
{
    for (unsigned i = logins->conversations->len; i-- > 0;) {
        struct conversation *conversation = g_ptr_array_index(logins->conversations, i);
        if (now_ms >= conversation->due_ms) {
            end(logins, conversation, "git's credential helper did not answer in time");
        }
    }
}

int64_t logins_next_due_ms(const struct logins *logins)
{
    int64_t due_ms = INT64_MAX;
    for (unsigned i = 0; i < logins->conversations->len; i++) {
        const struct conversation *conversation = g_ptr_array_index(logins->conversations, i);
        due_ms = MIN(due_ms, conversation->due_ms);
    }
    return due_ms;
}

void logins_add_fds(struct logins *logins, GArray *pollfds)
{
    for (unsigned i = 0; i < logins->conversations->len; i++) {
        struct conversation *conversation = g_ptr_array_index(logins->conversations, i);
        struct pollfd entry = {.fd = conversation->from_child, .events = POLLIN};
        conversation->at = (int)pollfds->len;
        g_array_append_val(pollfds, entry);
    }
}

void logins_handle(struct logins *logins, const struct pollfd *fds, unsigned count)
{
    for (unsigned i = logins->conversations->len; i-- > 0;) {
        struct conversation *conversation = g_ptr_array_index(logins->conversations, i);
        int at = conversation->at;
        conversation->at = -1;
        if (at >= 0 && (unsigned)at < count && fds[at].revents &&
            !read_answer(logins, conversation)) {
            end(logins, conversation, "phantom_ci-credential ended without an answer");
        }
    }
}

/* -------------------------------------------------------------------------------- life cycle */

/* What was written into the last pipe is gone with its reader: everything begins anew. */
static void begin_anew(struct logins *logins)
{
    for (unsigned i = 0; i < logins->conversations->len; i++) {
        struct conversation *conversation = g_ptr_array_index(logins->conversations, i);
        if (conversation->stage == ENDING) {
            continue;
        }
        if (conversation->trial) {
            /* Its look is lost, and made again. */
            g_hash_table_remove(logins->by_owner, g_steal_pointer(&conversation->trial));
        }
        let_end(logins, conversation);
        settle_waiting(logins, conversation, NULL);
    }
}

int logins_open_pipe(struct logins *logins)
{
    int ends[2];
    begin_anew(logins);
    fd_close(&logins->pipe);
    if (!fd_pipe(ends, NULL)) {
        return -1;
    }
    logins->pipe = ends[1];
    return ends[0];
}

struct logins *logins_new(const struct logins_events *events)
{
    struct logins *logins = g_new0(struct logins, 1);
    logins->events = *events;
    logins->pipe = -1;
    logins->conversations = g_ptr_array_new_with_free_func(conversation_free);
    logins->by_key = g_hash_table_new(g_str_hash, g_str_equal);
    logins->by_owner = g_hash_table_new(NULL, NULL);
    return logins;
}

void logins_free(struct logins *logins)
{
    if (logins) {
        fd_close(&logins->pipe);
        g_ptr_array_unref(logins->conversations);
        g_hash_table_unref(logins->by_key);
        g_hash_table_unref(logins->by_owner);
        g_free(logins);
    }
}
