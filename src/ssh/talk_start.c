/* What is behind the pipes of a talk: a session of a master, or a process. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "ssh/command.h"
#include "ssh/control.h"
#include "ssh/mux.h"
#include "ssh/talk_internal.h"

enum { READ_BYTES = 4096 };

/* ---------------------------------------------------------------------------- through a master */

/* True when the talk goes on. */
static bool take_message(struct talk *talk, const struct mux_message *message)
{
    talk->is_alive = talk->is_alive || message->kind == MUX_OPENED;
    switch (message->kind) {
    case MUX_HELLO:
        if (message->version != MUX_VERSION || fault_point("ssh.hello") != 0) {
            talk_end(talk, TALK_STRANGE);
            return false;
        }
        return true;
    case MUX_OPENED:
        if (!talk->decided) {
            loop_timer_stop(talk->loop, &talk->timer);
        }
        return true;
    case MUX_REFUSED:
        talk_end(talk, TALK_REFUSED);
        return false;
    case MUX_EXIT:
        talk->exit_code = (int)MIN(message->exit_code, G_MAXINT);
        return true;
    case MUX_DONE:
        return true;
    }
    g_assert_not_reached();
}

static bool take_messages(struct talk *talk)
{
    for (;;) {
        struct mux_message message;
        size_t used = 0;
        switch (mux_decode(talk->control_in->data, talk->control_in->len, &message, &used, NULL)) {
        case MUX_INCOMPLETE:
            return true;
        case MUX_BROKEN:
            talk_end(talk, TALK_STRANGE);
            return false;
        case MUX_MESSAGE:
            break;
        }
        if (!take_message(talk, &message)) {
            return false;
        }
        g_byte_array_remove_range(talk->control_in, 0, (guint)used);
    }
}

static void read_control(void *data, short events)
{
    struct talk *talk = data;
    guint8 bytes[READ_BYTES];
    ssize_t got;
    (void)events;
    while ((got = fd_read(talk->control_fd, bytes, sizeof(bytes))) > 0) {
        g_byte_array_append(talk->control_in, bytes, (guint)got);
        if (!take_messages(talk)) {
            return;
        }
    }
    if (got == 0 || errno != EAGAIN) {
        talk_end(talk, talk->exit_code >= 0 ? TALK_ENDED : TALK_LOST);
    }
}

void talk_watch_control(struct talk *talk, short events)
{
    if (talk->control_fd >= 0) {
        loop_watch(talk->loop, talk->control_fd, events, read_control, talk);
    }
}

struct talk *talk_through_master(struct loop *loop, const char *control_path,
                                 const struct talk_question *question,
                                 const struct talk_events *events, GError **error)
{
    static const char *const environment[] = {SSH_GIT_PROTOCOL, NULL};
    int theirs[3];
    struct talk *talk = talk_new(loop, question, events, theirs, error);
    if (!talk) {
        return NULL;
    }
    talk_ask(talk, question->road);
    /* From here on the master is awake: it finds all that it needs, and need not sleep again. */
    talk->control_in = g_byte_array_new();
    talk->control_fd = control_connect(control_path, error);
    bool good = talk->control_fd >= 0 && control_open_session(talk->control_fd, question->command,
                                                              environment, theirs, error);
    talk_close_ends(theirs);
    if (!good) {
        talk_free(talk);
        return NULL;
    }
    talk_listen(talk);
    return talk;
}

/* -------------------------------------------------------------------------------- by a process */

static void process_ended(void *data, int wait_status)
{
    struct talk *talk = data;
    talk->child = 0;
    if (WIFEXITED(wait_status)) {
        talk->exit_code = WEXITSTATUS(wait_status);
    }
    talk_end(talk, talk->exit_code >= 0 ? TALK_ENDED : TALK_LOST);
}

struct talk *talk_by_process(struct loop *loop, const char *const *argv, const char *const *envp,
                             const struct talk_question *question, const struct talk_events *events,
                             GError **error)
{
    int theirs[3];
    struct talk *talk = talk_new(loop, question, events, theirs, error);
    if (!talk) {
        return NULL;
    }
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = argv;
    options.envp = envp;
    options.stdin_fd = theirs[0];
    options.stdout_fd = theirs[1];
    options.stderr_fd = theirs[2];
    options.new_session = true;
    options.parent_death_signal = SIGKILL;
    pid_t child = spawn_start(&options, NULL, error);
    talk->child = MAX(child, 0);
    talk_close_ends(theirs);
    if (talk->child == 0) {
        talk_free(talk);
        return NULL;
    }
    loop_child(loop, talk->child, process_ended, talk);
    talk_ask(talk, question->road);
    talk_listen(talk);
    return talk;
}
