#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/spawn.h"
#include "base/text.h"
#include "commands/all.h"
#include "commands/service_manager.h"
#include "commands/service_unit.h"

enum { UNIT_MAX_BYTES = 1024 * 1024, PASSWD_MAX_BYTES = 64 * 1024, LOOKUP_MS = 10000 };

struct order {
    struct command_context context;
    char *user, *env_file, *format;
    gboolean print, remove, now, force;
};

struct account {
    char *name, *home;
    uid_t uid;
    gid_t gid;
};

static void account_clear(struct account *account)
{
    g_free(account->name);
    g_free(account->home);
}

/* --------------------------------------------------------------------- user */

/* The line of a user: by another program, for the user database may open a socket, which this one
 * does not. */
#ifdef __APPLE__
/* id(1): name:password:uid:gid:class:change:expire:comment:home:shell */
#define ACCOUNT_WORDS "id", "-P"
enum { ACCOUNT_FIELDS = 10, ACCOUNT_HOME = 8 };
#else
/* passwd(5): name:password:uid:gid:comment:home:shell */
#define ACCOUNT_WORDS "getent", "passwd"
enum { ACCOUNT_FIELDS = 7, ACCOUNT_HOME = 5 };
#endif

static bool find_account(const char *name, struct account *account)
{
    const char *const argv[] = {ACCOUNT_WORDS, name, NULL};
    struct spawn_run_options options = {.spawn = SPAWN_OPTIONS_INIT,
                                        .out_limit_bytes = PASSWD_MAX_BYTES,
                                        .err_limit_bytes = PASSWD_MAX_BYTES,
                                        .timeout_ms = LOOKUP_MS,
                                        .cancel_fd = -1};
    options.spawn.argv = argv;
    struct spawn_result result = {0};
    bool found = spawn_run(&options, &result, NULL) && WIFEXITED(result.wait_status) &&
                 WEXITSTATUS(result.wait_status) == 0;
    g_auto(GStrv) fields = found ? g_strsplit(g_strchomp(result.out), ":", ACCOUNT_FIELDS) : NULL;
    guint64 uid = 0;
    guint64 gid = 0;
    found = fields && g_strv_length(fields) == ACCOUNT_FIELDS && strcmp(fields[0], name) == 0 &&
            g_path_is_absolute(fields[ACCOUNT_HOME]) &&
            g_ascii_string_to_unsigned(fields[2], 10, 0, G_MAXUINT32 - 1, &uid, NULL) &&
            g_ascii_string_to_unsigned(fields[3], 10, 0, G_MAXUINT32 - 1, &gid, NULL);
    if (found) {
        *account = (struct account){g_strdup(name), g_strdup(fields[ACCOUNT_HOME]), (uid_t)uid,
                                    (gid_t)gid};
    }
    spawn_result_clear(&result);
    return found;
}

static bool name_is_plain(const char *name)
{
    return *name && *name != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
               strlen(name);
}

/* On a terminal the missing name is asked for. -1, or an exit code. */
static int require_user(struct order *order)
{
    char answer[64] = "";
    if (!order->user && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
        fputs("The user that runs the jobs (not root): ", stdout);
        fflush(stdout);
        if (fgets(answer, sizeof(answer), stdin)) {
            order->user = g_strdup(g_strstrip(answer));
        }
    }
    if (!order->user || !*order->user) {
        return command_fail_text(
            EXIT_CODE_USAGE,
            "which user runs the jobs? Steps of pushed commits run as this user, so root is no "
            "default:\n  useradd --create-home ci && phantom_ci configure service --user ci");
    }
    if (!name_is_plain(order->user)) {
        g_autofree char *shown = text_escape(order->user);
        return command_fail_text(EXIT_CODE_USAGE, "\"%s\" is no name of a user", shown);
    }
    return -1;
}

static int find_user(struct order *order, struct account *account)
{
    int code = require_user(order);
    if (code < 0 && !find_account(order->user, account)) {
        code = command_fail_text(EXIT_CODE_NOT_FOUND,
                                 "there is no user %s; make it with: useradd --create-home %s",
                                 order->user, order->user);
    }
    if (code < 0 && account->uid == 0) {
        fprintf(stderr,
                "phantom_ci: warning: every step of every pushed commit will run as root\n");
    }
    return code;
}

/* --------------------------------------------------------------- directories */

/* Replaces the usual path by the one that is named, or that is the user's own. */
static void place(char **path, const char *option, const char *variable, const char *own)
{
    const char *value = g_getenv(variable);
    const char *named = option ? option : value && *value ? value : own;
    if (named) {
        g_free(*path);
        *path = g_canonicalize_filename(named, NULL);
    }
}

/* Where the service's user has its directories: below its home, unless they are named. What XDG
 * variables say is root's own, or the user's who installs a service for itself. */
static void place_directories(const struct order *order, const struct account *account,
                              struct paths *paths)
{
    const struct command_context *context = &order->context;
    const struct paths none = {NULL, NULL, NULL};
    const struct paths *own = geteuid() != 0 ? &context->paths : &none;
    paths_init_default(paths, account->home);
    place(&paths->config, context->config_dir, "PHANTOM_CI_CONFIG_DIR", own->config);
    place(&paths->state, context->state_dir, "PHANTOM_CI_STATE_DIR", own->state);
    place(&paths->cache, context->cache_dir, "PHANTOM_CI_CACHE_DIR", own->cache);
}

/* Calls `function`, which returns 0 or an errno, in a process of that user: no link in its home
 * leads root astray. Returns the same. */
static int call_as(const struct account *account, int (*function)(const void *data),
                   const void *data)
{
    pid_t child = fork();
    if (child == 0) {
        bool good = geteuid() != 0 || (setgroups(0, NULL) == 0 && setgid(account->gid) == 0 &&
                                       setuid(account->uid) == 0);
        _exit(good ? function(data) : errno);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return errno;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static int make_directories(const void *data)
{
    const struct paths *paths = data;
    return g_mkdir_with_parents(paths->config, 0700) == 0 &&
                   g_mkdir_with_parents(paths->state, 0700) == 0 &&
                   g_mkdir_with_parents(paths->cache, 0700) == 0
               ? 0
               : errno;
}

static int try_to_execute(const void *data)
{
    return access(data, X_OK) == 0 ? 0 : errno;
}

/* ----------------------------------------------------------------------- unit */

static char *own_executable(void)
{
    g_autofree char *path = g_file_read_link("/proc/self/exe", NULL);
    return path ? g_steal_pointer(&path) : g_find_program_in_path("phantom_ci");
}

static char *find_unit_path(void)
{
    if (geteuid() == 0) {
        return g_strdup("/etc/systemd/system/" SERVICE_NAME);
    }
    const char *xdg = g_getenv("XDG_CONFIG_HOME");
    return xdg && g_path_is_absolute(xdg)
               ? g_build_filename(xdg, "systemd", "user", SERVICE_NAME, NULL)
               : g_build_filename(g_getenv("HOME"), ".config", "systemd", "user", SERVICE_NAME,
                                  NULL);
}

static const char *unless_same(const char *path, const char *usual)
{
    return strcmp(path, usual) == 0 ? NULL : path;
}

/* NULL with an error when the names can't stand in a unit. */
static char *format_unit(const struct order *order, const struct account *account,
                         const struct paths *paths, const char *executable, GError **error)
{
    struct paths usual;
    paths_init_default(&usual, account->home);
    const struct service service = {
        .executable = executable,
        .user = geteuid() == 0 ? account->name : NULL,
        .home = account->home,
        .config_dir = unless_same(paths->config, usual.config),
        .state_dir = unless_same(paths->state, usual.state),
        .cache_dir = unless_same(paths->cache, usual.cache),
        .paths = paths,
        .env_file = order->env_file,
    };
    char *text = NULL;
    if (service_check_names(&service, error)) {
        text = g_strcmp0(order->format, "launchd") == 0 ? service_format_launchd(&service)
                                                        : service_format_systemd(&service);
    }
    paths_clear(&usual);
    return text;
}

/* A link is a mask (to /dev/null), or names a unit that is kept elsewhere. -1, or an exit code. */
static int refuse_linked_unit(const char *path)
{
    g_autofree char *target = g_file_read_link(path, NULL);
    if (!target) {
        return -1;
    }
    if (strcmp(target, "/dev/null") == 0) {
        return command_fail_text(EXIT_CODE_NEGATIVE,
                                 "the unit is masked (%s leads to /dev/null); first: systemctl "
                                 "%sunmask " SERVICE_NAME,
                                 path, geteuid() == 0 ? "" : "--user ");
    }
    g_autofree char *shown = text_escape(target);
    return command_fail_text(EXIT_CODE_NEGATIVE,
                             "%s is a link to %s, which is left alone; remove the link first", path,
                             shown);
}

/* -1, or an exit code: a unit that somebody changed is not written over. */
static int check_present_unit(const struct order *order, const char *path, const char *text,
                              bool *same)
{
    size_t length = 0;
    g_autofree char *present = file_read(path, UNIT_MAX_BYTES, &length, NULL);
    *same = present && strcmp(present, text) == 0;
    if (present && !*same && !service_unit_is_untouched(present) && !order->force) {
        return command_fail_text(
            EXIT_CODE_NEGATIVE,
            "%s was changed by hand and is left as it is; see the difference with\n"
            "  phantom_ci configure service --print ... | diff %s -\n"
            "and write over it with --force (systemctl edit phantom_ci keeps changes apart)",
            path, path);
    }
    return -1;
}

/* It becomes a credential that no step can read; the file itself must be none either. -1, or an
 * exit code. */
static int check_env_file(const struct order *order)
{
    struct stat status;
    g_autofree char *shown = order->env_file ? text_escape(order->env_file) : NULL;
    if (!order->env_file) {
        return -1;
    }
    if (stat(order->env_file, &status) < 0) {
        return command_fail_text(EXIT_CODE_NOT_FOUND, "cannot use %s: %s", shown,
                                 g_strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return command_fail_text(EXIT_CODE_NEGATIVE, "%s is not a regular file", shown);
    }
    if (status.st_mode & 0077) {
        g_autofree char *quoted = g_shell_quote(order->env_file);
        return command_fail_text(EXIT_CODE_NEGATIVE,
                                 "%s holds secrets, and others may read or write it (mode %03o); "
                                 "to mend it: chmod 600 %s",
                                 shown, (unsigned)(status.st_mode & 0777), quoted);
    }
    return -1;
}

static int tell_manager(const struct order *order, bool for_user)
{
    static const char *const reload[] = {"daemon-reload", NULL};
    static const char *const enable[] = {"enable", SERVICE_NAME, NULL};
    static const char *const restart[] = {"restart", SERVICE_NAME, NULL};
    g_autoptr(GError) error = NULL;
    bool good = service_manager_run(for_user, reload, NULL, &error) &&
                service_manager_run(for_user, enable, NULL, &error) &&
                (!order->now || service_manager_run(for_user, restart, NULL, &error));
    return good ? EXIT_CODE_OK : command_fail(error);
}

static void print_what_is_next(const struct order *order, const char *path, bool for_user,
                               const struct account *account)
{
    const char *user = for_user ? "--user " : "";
    printf("wrote %s\n", path);
    if (order->now) {
        printf("the service runs; its log: journalctl %s-u phantom_ci\n", user);
    } else {
        printf("start it with: systemctl %srestart phantom_ci\n", user);
    }
    g_autofree char *linger = g_build_filename("/var/lib/systemd/linger", account->name, NULL);
    if (for_user && access(linger, F_OK) < 0) {
        printf("it ends with your last session; to keep it: loginctl enable-linger\n");
    }
    if (!for_user) {
        printf("repositories: sudo -u %s phantom_ci add URL BRANCH\n", account->name);
    }
}

/* Asked before anything is written. -1, or an exit code. */
static int ask_manager(bool for_user)
{
    static const char *const show[] = {"show", "--property=Version", "--value", NULL};
    g_autoptr(GError) error = NULL;
    if (service_manager_run(for_user, show, NULL, &error)) {
        return -1;
    }
    if (for_user) {
        g_prefix_error(&error,
                       "your own systemd does not answer. It runs while you are logged in, not "
                       "behind su or sudo; always after: loginctl enable-linger; and is found by "
                       "XDG_RUNTIME_DIR=/run/user/%u. It says: ",
                       (unsigned)geteuid());
    }
    return command_fail(error);
}

/* What the unit needs is made: only what is there can be made writable. -1, or an exit code. */
static int prepare_user(const struct account *account, const struct paths *paths,
                        const char *executable)
{
    int errnum = call_as(account, try_to_execute, executable);
    if (errnum != 0) {
        return command_fail_text(EXIT_CODE_NEGATIVE,
                                 "%s can't execute %s: %s; install phantom_ci where it can",
                                 account->name, executable, g_strerror(errnum));
    }
    errnum = call_as(account, make_directories, paths);
    if (errnum != 0) {
        return command_fail_text(EXIT_CODE_NEGATIVE, "%s cannot make %s, %s or %s: %s",
                                 account->name, paths->config, paths->state, paths->cache,
                                 g_strerror(errnum));
    }
    return -1;
}

static int write_unit(const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *directory = g_path_get_dirname(path);
    bool good = g_mkdir_with_parents(directory, 0755) == 0 ||
                error_set_errno(&error, SERVICE_ERROR, errno, "cannot make %s", directory);
    return good && file_write_atomic(path, text, strlen(text), 0644, &error) ? -1
                                                                             : command_fail(error);
}

static int install(const struct order *order, const struct account *account,
                   const struct paths *paths, const char *executable, const char *text)
{
    bool for_user = geteuid() != 0;
    bool same = false;
    g_autofree char *path = find_unit_path();
    int code = refuse_linked_unit(path);
    if (code < 0) {
        code = check_present_unit(order, path, text, &same);
    }
    if (code < 0) {
        code = check_env_file(order);
    }
    if (code < 0) {
        code = ask_manager(for_user);
    }
    if (code < 0) {
        code = prepare_user(account, paths, executable);
    }
    if (code < 0 && !same) {
        code = write_unit(path, text);
    }
    if (code < 0) {
        code = tell_manager(order, for_user);
    }
    if (code == EXIT_CODE_OK) {
        print_what_is_next(order, path, for_user, account);
    }
    return code;
}

static int uninstall(const struct order *order)
{
    static const char *const disable[] = {"disable", SERVICE_NAME, NULL};
    static const char *const stop[] = {"stop", SERVICE_NAME, NULL};
    static const char *const reload[] = {"daemon-reload", NULL};
    bool for_user = geteuid() != 0;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = find_unit_path();
    int code = refuse_linked_unit(path);
    if (code >= 0) {
        return code;
    }
    if (access(path, F_OK) < 0) {
        return command_fail_text(EXIT_CODE_NOT_FOUND, "there is no %s", path);
    }
    if (!order->now && service_manager_main_pid(for_user) > 0) {
        return command_fail_text(EXIT_CODE_NEGATIVE,
                                 "the service runs; --now stops it (and ends its jobs) first");
    }
    if ((order->now && !service_manager_run(for_user, stop, NULL, &error)) ||
        !service_manager_run(for_user, disable, NULL, &error)) {
        return command_fail(error);
    }
    if (unlink(path) < 0) {
        return command_fail_text(EXIT_CODE_NEGATIVE, "cannot remove %s: %s", path,
                                 g_strerror(errno));
    }
    if (!service_manager_run(for_user, reload, NULL, &error)) {
        return command_fail(error);
    }
    printf("removed %s; configuration, history and cache stay\n", path);
    return EXIT_CODE_OK;
}

/* -------------------------------------------------------------------- command */

static int check_order(const struct order *order)
{
    if (order->format && strcmp(order->format, "systemd") != 0 &&
        strcmp(order->format, "launchd") != 0) {
        return command_fail_text(EXIT_CODE_USAGE, "--format is systemd or launchd");
    }
    if (order->print && order->remove) {
        return command_fail_text(EXIT_CODE_USAGE, "--print and --remove do not go together");
    }
    if (order->format && strcmp(order->format, "launchd") == 0 && !order->print) {
        return command_fail_text(EXIT_CODE_USAGE,
                                 "print the property list into ~/Library/LaunchAgents (as root: "
                                 "/Library/LaunchDaemons) and load it:\n"
                                 "  phantom_ci configure service --print --format launchd > "
                                 "~/Library/LaunchAgents/com.helloimalemur.phantom_ci.plist\n"
                                 "  launchctl load ~/Library/LaunchAgents/"
                                 "com.helloimalemur.phantom_ci.plist");
    }
    if (order->user && geteuid() != 0) {
        return command_fail_text(EXIT_CODE_USAGE,
                                 "--user is for the system service, which root installs; without "
                                 "it the service is your own");
    }
    if (order->env_file && g_strcmp0(order->format, "launchd") == 0) {
        return command_fail_text(EXIT_CODE_USAGE, "--env-file is for systemd");
    }
    if (order->env_file && !g_path_is_absolute(order->env_file)) {
        return command_fail_text(EXIT_CODE_USAGE, "--env-file takes an absolute path");
    }
    if (!order->print && !service_manager_is_there()) {
        return command_fail_text(EXIT_CODE_NEGATIVE,
                                 "systemd does not run here (there is no /run/systemd/system); "
                                 "--print shows the unit, and any supervisor can start phantom_ci");
    }
    return -1;
}

/* -1, or an exit code. */
static int find_own_account(struct account *account)
{
    const char *name = g_getenv("USER");
    const char *home = g_getenv("HOME");
    if (!home || !g_path_is_absolute(home)) {
        return command_fail_text(EXIT_CODE_CONFIG, "HOME is not set to a directory; set it");
    }
    *account =
        (struct account){g_strdup(name ? name : "this user"), g_strdup(home), geteuid(), getegid()};
    return -1;
}

static int print_or_install(const struct order *order, const struct account *account)
{
    struct paths paths;
    g_autoptr(GError) error = NULL;
    g_autofree char *found = own_executable();
    const char *executable = found ? found : "phantom_ci";
    place_directories(order, account, &paths);
    g_autofree char *text = format_unit(order, account, &paths, executable, &error);
    int code = EXIT_CODE_OK;
    if (!text) {
        code = command_fail(error);
    } else if (order->print) {
        fputs(text, stdout);
    } else {
        code = install(order, account, &paths, executable, text);
    }
    paths_clear(&paths);
    return code;
}

static int carry_out(struct order *order)
{
    struct account account = {.name = NULL};
    int code = geteuid() != 0  ? find_own_account(&account)
               : order->remove ? -1
                               : find_user(order, &account);
    if (code < 0) {
        code = order->remove ? uninstall(order) : print_or_install(order, &account);
    }
    account_clear(&account);
    return code;
}

static int configure_service(const struct command *command, int argc, char **argv)
{
    struct order order = {.user = NULL};
    const GOptionEntry entries[] = {
        {"user", 0, 0, G_OPTION_ARG_STRING, &order.user,
         "as root: the user that the service, and with it every step, runs as", "NAME"},
        {"env-file", 0, 0, G_OPTION_ARG_FILENAME, &order.env_file,
         "the service reads .env from this file, as a credential of systemd", "FILE"},
        {"print", 0, 0, G_OPTION_ARG_NONE, &order.print, "print the unit and change nothing", NULL},
        {"format", 0, 0, G_OPTION_ARG_STRING, &order.format, "with --print: systemd or launchd",
         "FORMAT"},
        {"now", 0, 0, G_OPTION_ARG_NONE, &order.now, "start it, too (with --remove: stop it first)",
         NULL},
        {"remove", 0, 0, G_OPTION_ARG_NONE, &order.remove, "remove the unit", NULL},
        {"force", 0, 0, G_OPTION_ARG_NONE, &order.force, "write over a unit changed by hand", NULL},
        G_OPTION_ENTRY_NULL,
    };
    int code =
        command_parse(command, &order.context, entries, COMMAND_WITHOUT_HOME, &argc, &argv, 0, 0);
    if (code < 0) {
        code = check_order(&order);
    }
    if (code < 0) {
        code = carry_out(&order);
    }
    g_free(order.user);
    g_free(order.env_file);
    g_free(order.format);
    command_context_clear(&order.context);
    return code;
}

static const struct command subcommands[] = {
    {"configure service",
     "[--user NAME] [--env-file FILE] [--now] [--force] | --remove [--now] | --print [--format F]",
     "install a systemd unit that runs phantom_ci",
     "As root: a system service for a user of its own (--user). As anybody else: a service of your "
     "own systemd.",
     configure_service},
    {NULL, NULL, NULL, NULL, NULL},
};

int command_configure(const struct command *command, int argc, char **argv)
{
    return command_run_sub(command, subcommands, argc, argv);
}
