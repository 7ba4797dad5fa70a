#include "ssh/command.h"

#include <string.h>

#include "git/command.h"

/* For both kinds. What ssh_config(5) might turn on for people at a terminal. */
static const char *const always[] = {
    "ClearAllForwardings=yes", "ForwardAgent=no",    "ForwardX11=no", "Tunnel=no",
    "PermitLocalCommand=no",   "RemoteCommand=none", "RequestTTY=no", "ControlPersist=no",
    "SendEnv=GIT_PROTOCOL",    "EscapeChar=none",
};

static void add(GPtrArray *argv, const char *word)
{
    g_ptr_array_add(argv, g_strdup(word));
}

static void add_option(GPtrArray *argv, const char *option)
{
    add(argv, "-o");
    add(argv, option);
}

/* "-S PATH" takes the path as it is, blanks and all, but for %X. */
static void add_control_path(GPtrArray *argv, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "%", -1);
    add(argv, "-S");
    g_ptr_array_add(argv, g_strjoinv("%%", parts));
}

/* Of several values for one option ssh takes the first, and the command line before the files. */
static GPtrArray *begin(const struct ssh_address *address, const char *control_path)
{
    GPtrArray *argv = g_ptr_array_new();
    add(argv, "ssh");
    add_control_path(argv, control_path);
    git_append_ssh_options(argv, address->key_path);
    for (unsigned i = 0; i < G_N_ELEMENTS(always); i++) {
        add_option(argv, always[i]);
    }
    return argv;
}

static char **end(GPtrArray *argv, const struct ssh_address *address, const char *command)
{
    if (address->port) {
        add(argv, "-p");
        add(argv, address->port);
    }
    add(argv, "--");
    add(argv, address->destination);
    if (command) {
        add(argv, command);
    }
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(argv, FALSE);
}

char **ssh_master_argv(const struct ssh_address *address, const char *control_path)
{
    GPtrArray *argv = begin(address, control_path);
    add(argv, "-M");
    add(argv, "-N");
    /* Why a connection failed is said at this level. */
    add_option(argv, "LogLevel=INFO");
    return end(argv, address, NULL);
}

char **ssh_session_argv(const struct ssh_address *address, const char *control_path)
{
    GPtrArray *argv = begin(address, control_path ? control_path : "none");
    add_option(argv, "ControlMaster=no");
    return end(argv, address, address->command);
}

char **ssh_environment(void)
{
    static const char *const unattended[] = {"SSH_ASKPASS=", "SSH_ASKPASS_REQUIRE=never",
                                             SSH_GIT_PROTOCOL};
    g_auto(GStrv) plain = git_environment_plain();
    GPtrArray *environment = g_ptr_array_new();
    for (char **entry = plain; *entry; entry++) {
        add(environment, *entry);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(unattended); i++) {
        add(environment, unattended[i]);
    }
    g_ptr_array_add(environment, NULL);
    return (char **)g_ptr_array_free(environment, FALSE);
}
