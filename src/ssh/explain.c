#include "ssh/explain.h"

#include <string.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/spawn.h"
#include "git/command.h"

enum { SSH_FAILED = 255 }; /* ssh(1), EXIT STATUS: an error of its own, not of the command */

static enum net_look_outcome outcome_of(const char *words)
{
    switch (git_failure_of(words)) {
    case GIT_FAILURE_UNREACHABLE:
        return NET_LOOK_UNREACHABLE;
    case GIT_FAILURE_UNTRUSTED:
        return NET_LOOK_UNTRUSTED;
    case GIT_FAILURE_ABSENT:
        return NET_LOOK_ABSENT;
    case GIT_FAILURE_OTHER:
        break;
    }
    return NET_LOOK_FAILED;
}

static char *explained(const char *words, const char *url)
{
    const struct git_remote remote = {.url = url};
    return git_explain_failure(words, url ? &remote : NULL);
}

/* OpenSSH's own complaints about its command line, and other programs' that are called ssh. */
static bool is_another_ssh(const char *words, int wait_status)
{
    return !WIFEXITED(wait_status)
               ? false
               : WEXITSTATUS(wait_status) != SSH_FAILED ||
                     g_str_has_prefix(words, "command-line") || g_str_has_prefix(words, "usage:") ||
                     strstr(words, "unknown option");
}

char *explain_ssh(const char *words, int wait_status, const char *url,
                  enum net_look_outcome *outcome)
{
    g_autofree char *status = spawn_format_status(wait_status);
    if (is_another_ssh(words, wait_status)) {
        *outcome = NET_LOOK_USE_GIT;
        return g_strdup_printf("ssh makes no connection that can be shared (%s)", status);
    }
    *outcome = outcome_of(words);
    g_autofree char *why = explained(words, url);
    return *why ? g_steal_pointer(&why) : g_strdup_printf("ssh: %s", status);
}

char *explain_spawn(const GError *error)
{
    /* As git says it, for the hint that goes with it. */
    g_autofree char *words = g_strdup_printf("cannot run ssh: %s", error->message);
    return explained(words, NULL);
}

char *explain_talk(const struct talk *talk, bool by_process, const char *url,
                   enum net_look_outcome *outcome)
{
    const GError *failure = talk_failure(talk);
    int code = talk_exit_code(talk);
    if (error_has_code(failure, ERROR_REMOTE) && code > 0) {
        g_autofree char *why = explained(talk_words(talk), url);
        *outcome = outcome_of(talk_words(talk));
        bool is_ssh = by_process && code == SSH_FAILED;
        if (!is_ssh && *outcome != NET_LOOK_ABSENT) {
            *outcome = NET_LOOK_FAILED; /* these are words of the server's command */
        }
        return *why ? g_steal_pointer(&why)
                    : g_strdup_printf("git-upload-pack: exit %d, without a word", code);
    }
    if (error_has_code(failure, ERROR_REMOTE)) {
        *outcome =
            outcome_of(failure->message) == NET_LOOK_ABSENT ? NET_LOOK_ABSENT : NET_LOOK_FAILED;
    } else {
        *outcome = NET_LOOK_NONSENSE;
    }
    return g_strdup(failure->message);
}

char *explain_loss(const char *words)
{
    g_autofree char *why = words ? explained(words, NULL) : g_strdup("");
    return g_strdup_printf("the ssh connection was lost, twice%s%s", *why ? ": " : "", why);
}
