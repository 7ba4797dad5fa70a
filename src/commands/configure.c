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

/* By getent(1): the user database may open a socket, which this program does not. */
static bool find_account(const char *name, struct account *account)
{
    const char *const argv[] = {"getent", "passwd", name, NULL};
    struct spawn_run_options options = {.spawn = SPAWN_OPTIONS_INIT,
                                        .out_limit_bytes = PASSWD_MAX_BYTES,
                                        .err_limit_bytes = PASSWD_MAX_BYTES,
                                        .timeout_ms = LOOKUP_MS,
                                        .cancel_fd = -1};
    options.spawn.argv = argv;
    struct spawn_result result = {0};
    bool found = spawn_run(&options, &result, NULL) && WIFEXITED(result.wait_status) &&
                 WEXITSTATUS(result.wait_status) == 0;
    /* name:password:uid:gid:comment:home:shell (passwd(5)) */
    g_auto(GStrv) fields = found ? g_strsplit(g_strchomp(result.out), ":", 7) : NULL;
    guint64 uid = 0;
    guint64 gid = 0;
    found = fields && g_strv_length(fields) == 7 && strcmp(fields[0], name) == 0 &&
            g_path_is_absolute(fields[5]) &&
            g_ascii_string_to_unsigned(fields[2], 10, 0, G_MAXUINT32 - 1, &uid, NULL) &&
            g_ascii_string_to_unsigned(fields[3], 10, 0, G_MAXUINT32 - 1, &gid, NULL);
    if (found) {
        *account = (struct account){g_strdup(name), g_strdup(fields[5]), (uid_t)uid, (gid_t)gid};
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

/* Where the service's user has its directories: as on the command line, else below its home. */
static void place_directories(struct order *order, const struct account *account,
                              struct paths *paths)
{
    const struct command_context *context = &order->context;
    bool own = geteuid() != 0;
    *paths = (struct paths){
        .config = context->config_dir || own
                      ? g_strdup(context->paths.config)
                      : g_build_filename(account->home, ".config", "phantom_ci", NULL),
        .state = context->state_dir || own
                     ? g_strdup(context->paths.state)
                     : g_build_filename(account->home, ".local", "state", "phantom_ci", NULL),
        .cache = context->cache_dir || own
                     ? g_strdup(context->paths.cache)
                     : g_build_filename(account->home, ".cache", "phantom_ci", NULL),
    };
}

/* As the user itself, so that no link in its home leads root astray. The unit needs them to exist:
 * only what is there can be made writable. */
static bool make_directories(const struct account *account, const struct paths *paths,
                             GError **error)
{
    pid_t child = fork();
    if (child == 0) {
        bool good = geteuid() != 0 || (setgroups(0, NULL) == 0 && setgid(account->gid) == 0 &&
                                       setuid(account->uid) == 0);
        good = good && g_mkdir_with_parents(paths->config, 0700) == 0 &&
               g_mkdir_with_parents(paths->state, 0700) == 0 &&
               g_mkdir_with_parents(paths->cache, 0700) == 0;
        _exit(good ? 0 : errno);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return error_set_errno(error, SERVICE_ERROR, errno, "cannot make the directories");
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return error_set_errno(error, SERVICE_ERROR, WIFEXITED(status) ? WEXITSTATUS(status) : EIO,
                               "%s cannot make %s, %s or %s", account->name, paths->config,
                               paths->state, paths->cache);
    }
    return true;
}

/* ----------------------------------------------------------------------- unit */

static char *own_executable(void)
{
    g_autofree char *path = g_file_read_link("/proc/self/exe", NULL);
    return path ? g_steal_pointer(&path) : g_find_program_in_path("phantom_ci");
}

static char *unit_directory(void)
{
    if (geteuid() == 0) {
        return g_strdup("/etc/systemd/system");
    }
    const char *xdg = g_getenv("XDG_CONFIG_HOME");
    return xdg && g_path_is_absolute(xdg)
               ? g_build_filename(xdg, "systemd", "user", NULL)
               : g_build_filename(g_getenv("HOME"), ".config", "systemd", "user", NULL);
}

static char *format_unit(struct order *order, const struct account *account,
                         const struct paths *paths)
{
    const struct command_context *context = &order->context;
    g_autofree char *executable = own_executable();
    const struct service service = {
        .executable = executable ? executable : "phantom_ci",
        .user = geteuid() == 0 ? account->name : NULL,
        .home = account->home,
        .config_dir = context->config_dir ? paths->config : NULL,
        .state_dir = context->state_dir ? paths->state : NULL,
        .cache_dir = context->cache_dir ? paths->cache : NULL,
        .paths = paths,
        .env_file = order->env_file,
    };
    return g_strcmp0(order->format, "launchd") == 0 ? service_format_launchd(&service)
                                                    : service_format_systemd(&service);
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

static int install(struct order *order, const struct account *account, const struct paths *paths,
                   const char *path)
{
    bool for_user = geteuid() != 0;
    bool same = false;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = format_unit(order, account, paths);
    g_autofree char *directory = g_path_get_dirname(path);
    int code = check_present_unit(order, path, text, &same);
    if (code >= 0) {
        return code;
    }
    if (!make_directories(account, paths, &error) ||
        (g_mkdir_with_parents(directory, 0755) < 0 &&
         !error_set_errno(&error, SERVICE_ERROR, errno, "cannot make %s", directory)) ||
        (!same && !file_write_atomic(path, text, strlen(text), 0644, &error))) {
        return command_fail(error);
    }
    code = tell_manager(order, for_user);
    if (code == EXIT_CODE_OK) {
        print_what_is_next(order, path, for_user, account);
    }
    return code;
}

static int uninstall(const struct order *order, const char *path)
{
    static const char *const disable[] = {"disable", SERVICE_NAME, NULL};
    static const char *const stop[] = {"stop", SERVICE_NAME, NULL};
    static const char *const reload[] = {"daemon-reload", NULL};
    bool for_user = geteuid() != 0;
    g_autoptr(GError) error = NULL;
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
        return command_fail_text(
            EXIT_CODE_USAGE, "print the property list into ~/Library/LaunchAgents and load it:\n"
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

static int carry_out(struct order *order)
{
    struct account account = {.name = NULL};
    struct paths paths = {NULL, NULL, NULL};
    g_autofree char *directory = unit_directory();
    g_autofree char *path = g_build_filename(directory, SERVICE_NAME, NULL);
    if (order->remove) {
        return uninstall(order, path);
    }
    int code = -1;
    if (geteuid() == 0) {
        code = find_user(order, &account);
    } else {
        const char *name = g_getenv("USER");
        account = (struct account){g_strdup(name ? name : "this user"), g_strdup(g_getenv("HOME")),
                                   geteuid(), getegid()};
    }
    if (code < 0) {
        place_directories(order, &account, &paths);
        if (order->print) {
            g_autofree char *text = format_unit(order, &account, &paths);
            fputs(text, stdout);
            code = EXIT_CODE_OK;
        } else {
            code = install(order, &account, &paths, path);
        }
    }
    paths_clear(&paths);
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
    int code = command_parse(command, &order.context, entries, 0, &argc, &argv, 0, 0);
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
