/*
 * phantom_ci-sandbox: the first process of a sandbox. See sandbox/inside.h for what it does; it may
 * do whatever bubblewrap has left it, and gives up some more before it starts the step.
 */
#include "sandbox/inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "phantom_ci_config.h"
#include "sandbox/landlock_abi.h"

enum {
    LEFTOVER_GRACE_MS = 1000,
    NAMES_SHOWN = 5,
    ENVIRONMENT_MAX_BYTES = 16 * 1024 * 1024,
    FIRST_OWN_FD = 3,
    FALLBACK_MAX_FD = 4096,
    EXIT_TROUBLE = 125,
    STEP_STACK_BYTES = 64 * 1024, /* until its program runs */
};

struct inside {
    char **argv; /* of the step */
    char **envp;
    char **write; /* paths, of the arguments */
    int write_count;
    bool restrict_files, restrict_scopes;
    int signal_fd;
    int not_executed; /* the errno, when the program of the step could not be executed */
    pid_t step;
    bool ended;
    int status;
    bool terminating;
};

static void report(enum inside_kind kind, int number, unsigned left, const char *text)
{
    struct inside_report message = {.kind = kind, .number = number, .left = left};
    snprintf(message.text, sizeof(message.text), "%s", text);
    /* When nobody listens any more, the end of the control pipe says so. */
    ssize_t ignored = write(INSIDE_REPORT_FD, &message, sizeof(message));
    (void)ignored;
}

static _Noreturn void fail(enum inside_kind kind, int errnum, const char *what)
{
    report(kind, errnum, 0, what);
    _exit(EXIT_TROUBLE);
}

/* ------------------------------------------------------------ confinement */

/* Everything may be read and executed (the mounts decide what there is), `write` may be changed,
 * and the small files of /dev and /proc. */
static bool allow(int ruleset_fd, const char *path, uint64_t rights)
{
    struct stat status;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        return fd < 0 && errno == ENOENT;
    }
    /* Rights over directories can't be given to a file. */
    if (!S_ISDIR(status.st_mode)) {
        rights &= LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                  LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_TRUNCATE | LANDLOCK_IOCTL_DEV;
    }
    const struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    bool good =
        syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    close(fd);
    return good;
}

/* The Landlock version in force. */
static int confine(const struct inside *inside)
{
    static const char *const always_writable[] = {"/dev", "/proc"};
    if (!inside->restrict_files && !inside->restrict_scopes) {
        return 0;
    }
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset rules = landlock_everything_known((int)version);
    /* A listening port inside is nobody's business; without files handled mounts stay possible. */
    rules.network = 0;
    rules.files = inside->restrict_files ? rules.files : 0;
    if (version < 1 || (!rules.files && !rules.scopes)) {
        return 0;
    }
    int fd =
        (int)syscall(SYS_landlock_create_ruleset, &rules, landlock_ruleset_size((int)version), 0);
    if (fd < 0) {
        fail(INSIDE_NOT_CONFINED, errno, "Landlock makes no set of rules");
    }
    const uint64_t reads =
        LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    bool good = !rules.files || allow(fd, "/", reads & rules.files);
    for (unsigned i = 0; good && rules.files && i < 2; i++) {
        good = allow(fd, always_writable[i],
                     rules.files & (reads | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_TRUNCATE |
                                    LANDLOCK_IOCTL_DEV | LANDLOCK_ACCESS_FS_MAKE_REG |
                                    LANDLOCK_ACCESS_FS_REMOVE_FILE));
    }
    for (int i = 0; good && rules.files && i < inside->write_count; i++) {
        good = allow(fd, inside->write[i], rules.files);
    }
    if (!good || syscall(SYS_landlock_restrict_self, fd, 0) != 0) {
        fail(INSIDE_NOT_CONFINED, errno, "Landlock does not take its rules");
    }
    close(fd);
    return (int)version;
}

/* ---------------------------------------------------------------- the step */

/* The bytes of the environment with a vector into them; both stay for ever. */
static void read_environment(struct inside *inside)
{
    struct stat status;
    if (fstat(INSIDE_ENVIRONMENT_FD, &status) != 0 || status.st_size < 0 ||
        status.st_size > ENVIRONMENT_MAX_BYTES) {
        fail(INSIDE_NOT_STARTED, EINVAL, "the environment");
    }
    size_t size = (size_t)status.st_size;
    char *bytes = malloc(size + 1);
    size_t count = 0;
    if (!bytes || pread(INSIDE_ENVIRONMENT_FD, bytes, size, 0) != (ssize_t)size) {
        fail(INSIDE_NOT_STARTED, bytes ? EIO : ENOMEM, "the environment");
    }
    bytes[size] = '\0';
    for (size_t i = 0; i < size; i++) {
        count += bytes[i] == '\0' ? 1 : 0;
    }
    inside->envp = calloc(count + 1, sizeof(char *));
    if (!inside->envp) {
        fail(INSIDE_NOT_STARTED, ENOMEM, "the environment");
    }
    char *at = bytes;
    for (size_t i = 0; i < count; i++) {
        inside->envp[i] = at;
        at += strlen(at) + 1;
    }
}

static const char *path_of(char *const *envp)
{
    for (; *envp; envp++) {
        if (strncmp(*envp, "PATH=", strlen("PATH=")) == 0) {
            return *envp + strlen("PATH=");
        }
    }
    return "/usr/local/bin:/usr/bin:/bin";
}

/* As spawn_start() looks for programs (base/spawn.h): EACCES is remembered over later ENOENTs, and
 * ENOEXEC is never retried through a shell. Returns the errno. */
static int execute(const struct inside *inside)
{
    const char *name = inside->argv[0];
    int result = ENOENT;
    if (!*name || strchr(name, '/')) {
        execve(name, inside->argv, inside->envp);
        return errno;
    }
    for (const char *at = path_of(inside->envp); at; at = strchr(at, ':')) {
        at += *at == ':' ? 1 : 0;
        int length = (int)strcspn(at, ":");
        char *candidate = NULL;
        if (asprintf(&candidate, "%.*s/%s", length > 0 ? length : 1, length > 0 ? at : ".", name) <
            0) {
            return ENOMEM;
        }
        execve(candidate, inside->argv, inside->envp);
        free(candidate);
        if (errno == EACCES) {
            result = EACCES;
        } else if (errno != ENOENT && errno != ENOTDIR) {
            return errno;
        }
    }
    return result;
}

/* close_range(2), Linux 5.9, or one after the other. */
static void close_own(void)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, FIRST_OWN_FD, ~0U, 0) == 0) {
        return;
    }
#endif
    for (int fd = FIRST_OWN_FD; fd < FALLBACK_MAX_FD; fd++) {
        close(fd);
    }
}

/* The process of the step, which has this one's memory until it executes (see start_step). It
 * returns only when it can't. */
static int run_step(void *data)
{
    struct inside *inside = data;
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    close_own();
    inside->not_executed = execute(inside);
    return 127;
}

/* As posix_spawn(3) does it, but into a session of its own and with other descriptors: the child
 * has a stack of its own and all other memory of this process, which stands still until the program
 * runs or the child has ended. That needs no copy of the memory, and no pipe for the errno. */
static void start_step(struct inside *inside, int landlock)
{
    static _Alignas(max_align_t) char stack[STEP_STACK_BYTES];
    inside->step = clone(run_step, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, inside);
    if (inside->step < 0) {
        fail(INSIDE_NOT_STARTED, errno, "the step");
    }
    if (inside->not_executed) {
        fail(INSIDE_NOT_EXECUTED, inside->not_executed, inside->argv[0]);
    }
    report(INSIDE_STARTED, landlock, 0, "");
}

/* ----------------------------------------------------------------- the end */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* From process 1 of a namespace: everybody else in it, and nobody outside (see main). */
static void tell_all(int number)
{
    kill(-1, number);
    kill(-1, SIGCONT);
}

/* Waits for what has ended; true while there is something else. */
static bool collect(struct inside *inside)
{
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG)) > 0 || (ended < 0 && errno == EINTR)) {
        if (ended == inside->step) {
            inside->ended = true;
            inside->status = status;
        }
    }
    return ended == 0;
}

/* Waits for a signal, an order or the time; false at the end of the control pipe. */
static bool wait_for_news(struct inside *inside, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = inside->signal_fd, .events = POLLIN},
                           {.fd = INSIDE_CONTROL_FD, .events = POLLIN}};
    struct signalfd_siginfo info;
    char order = 0;
    if (poll(fds, 2, timeout_ms) <= 0) {
        return true;
    }
    if (fds[0].revents && read(inside->signal_fd, &info, sizeof(info)) < 0) {
        return true;
    }
    if (!fds[1].revents) {
        return true;
    }
    ssize_t got = read(INSIDE_CONTROL_FD, &order, 1);
    if (got == 1 && order == INSIDE_TERMINATE) {
        inside->terminating = true;
        tell_all(SIGTERM);
    }
    return got == 1 || (got < 0 && errno == EINTR);
}

/* The names of the first few of those that are left, in `text`; returns how many there are. */
static unsigned list_left(char *text, size_t size)
{
    unsigned count = 0;
    char self[32] = "";
    char ours[64] = "";
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    text[0] = '\0';
    /* /proc may be the host's: then this process has another number there, and others are in it. */
    if (readlink("/proc/self", self, sizeof(self) - 1) < 0 ||
        readlink("/proc/self/ns/pid", ours, sizeof(ours) - 1) < 0) {
        self[0] = '\0';
    }
    while (directory && (entry = readdir(directory))) {
        char path[300];
        char name[32] = "";
        char theirs[64] = "";
        long pid = strtol(entry->d_name, NULL, 10);
        snprintf(path, sizeof(path), "/proc/%s/ns/pid", entry->d_name);
        bool is_inside = pid > 0 && strcmp(entry->d_name, self) != 0 &&
                         readlink(path, theirs, sizeof(theirs) - 1) > 0 &&
                         strcmp(theirs, ours) == 0;
        snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
        int fd = is_inside ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        ssize_t length = fd >= 0 ? read(fd, name, sizeof(name) - 1) : -1;
        if (fd >= 0) {
            close(fd);
        }
        if (length <= 0) {
            continue;
        }
        name[strcspn(name, "\n")] = '\0';
        size_t used = strlen(text);
        if (++count <= NAMES_SHOWN) {
            snprintf(text + used, size - used, "%s%s", used ? ", " : "", name);
        } else if (count == NAMES_SHOWN + 1) {
            snprintf(text + used, size - used, ", ...");
        }
    }
    if (directory) {
        closedir(directory);
    }
    return count;
}

/* What the step has left is told to end, and killed after a moment; with INSIDE_TERMINATE the one
 * outside keeps the time. */
static void end_the_rest(struct inside *inside, unsigned *left, char *names, size_t size)
{
    if (!collect(inside)) {
        return;
    }
    int64_t kill_at_ms = now_ms() + LEFTOVER_GRACE_MS;
    if (!inside->terminating) {
        *left = list_left(names, size);
        tell_all(SIGTERM);
    }
    while (collect(inside)) {
        int64_t rest_ms = kill_at_ms - now_ms();
        if (!inside->terminating && rest_ms <= 0) {
            kill(-1, SIGKILL);
        }
        if (!wait_for_news(inside, inside->terminating ? -1 : rest_ms > 0 ? (int)rest_ms : 20)) {
            _exit(EXIT_TROUBLE);
        }
    }
}

static _Noreturn void attend(struct inside *inside)
{
    unsigned left = 0;
    char names[100] = "";
    collect(inside);
    while (!inside->ended) {
        if (!wait_for_news(inside, -1)) {
            _exit(EXIT_TROUBLE);
        }
        collect(inside);
    }
    end_the_rest(inside, &left, names, sizeof(names));
    report(INSIDE_ENDED, inside->status, left, names);
    _exit(0);
}

/* --------------------------------------------------------------- beginning */

static bool parse(int argc, char **argv, struct inside *inside)
{
    inside->write = calloc((size_t)argc, sizeof(char *));
    for (int i = 1; inside->write && i < argc; i++) {
        if (strcmp(argv[i], "--scopes") == 0) {
            inside->restrict_scopes = true;
        } else if (strcmp(argv[i], "--files") == 0) {
            inside->restrict_files = true;
            inside->restrict_scopes = true;
        } else if (strcmp(argv[i], "--write") == 0 && i + 1 < argc) {
            inside->write[inside->write_count++] = argv[++i];
        } else if (strcmp(argv[i], "--") == 0 && i + 1 < argc) {
            inside->argv = &argv[i + 1];
            return true;
        } else {
            return false;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    struct inside inside = {.signal_fd = -1};
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("phantom_ci-sandbox " PHANTOM_CI_VERSION);
        return 0;
    }
    /* Only process 1 of a namespace has nobody but its own in kill(-1). */
    if (!parse(argc, argv, &inside) || getpid() != 1 || fcntl(INSIDE_REPORT_FD, F_GETFD) < 0) {
        fputs("phantom_ci-sandbox is started by phantom_ci-job, not by hand; to try a command in a "
              "sandbox: phantom_ci sandbox NAME -- COMMAND\n",
              stderr);
        free(inside.write);
        return 2;
    }
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    signal(SIGPIPE, SIG_IGN);
    inside.signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    /* Until here bubblewrap's and this program's own trouble went there. */
    if (inside.signal_fd < 0 || dup2(STDOUT_FILENO, STDERR_FILENO) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        fail(INSIDE_NOT_CONFINED, errno, "the first process");
    }
    read_environment(&inside);
    start_step(&inside, confine(&inside));
    attend(&inside);
}
