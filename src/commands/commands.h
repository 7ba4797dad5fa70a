/*
 * The commands of phantom_ci: one file each, one table of all.
 *
 * A command gets its arguments behind its name, parses them with command_parse() (which knows
 * --help and the options that every command has), and returns an exit code (enum exit_code).
 * Trouble goes to standard error as "phantom_ci: ...".
 */
#ifndef PHANTOM_CI_COMMANDS_COMMANDS_H
#define PHANTOM_CI_COMMANDS_COMMANDS_H

#include <glib.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/paths.h"
#include "config/config.h"
#include "store/store.h"

struct command {
    const char *name;
    const char *arguments; /* "NAME [--branch B]", for the usage line */
    const char *summary;   /* one line */
    const char *details;   /* for --help; or NULL */
    int (*run)(const struct command *command, int argc, char **argv);
};

/* Ends with a NULL name. */
extern const struct command commands[];
/* The daemon. */
extern const struct command command_without_name;
/* Finds hidden ones, too. */
const struct command *command_find(const char *name);

/* What completion asks of a command without running it: every option that it takes, and every
 * command below it ("notify list"). The strings of an entry stay, its variables do not. */
struct command_visitor {
    void (*option)(const GOptionEntry *entry, void *data);
    void (*subcommand)(const struct command *sub, void *data);
    void *data;
};
void command_visit(const struct command *command, const struct command_visitor *visitor);

/* Where the first word stands in argv, 0 = nowhere; options that name directories may stand before
 * it. */
int command_find_word(int argc, char **argv);

/* For commands whose first word names one of `subs` (called "notify list", ...; ends with a NULL
 * name). */
int command_run_sub(const struct command *command, const struct command *subs, int argc,
                    char **argv);

/* `phantom_ci help`, and the overview. */
void command_print_overview(void);

/* What every command has at hand. command_context_clear() frees it. */
struct command_context {
    struct paths paths;
    char *config_dir, *state_dir, *cache_dir; /* as given on the command line */
    bool json;
    struct store *store;   /* after command_open_store() */
    struct config *config; /* after command_load_config() */
};
void command_context_clear(struct command_context *context);

/* Flags of command_parse(). */
enum {
    COMMAND_JSON = 1,         /* the command has --json */
    COMMAND_WITHOUT_HOME = 2, /* it goes on without HOME; the paths are then NULL */
};

/*
 * Parses `entries` (GOption, may be NULL) and the common options; afterwards argv holds `least` to
 * `most` words, as *words (NULL-terminated, in argv). Returns -1 to go on, else the exit code:
 * --help was printed (0) or the usage was wrong (2).
 */
int command_parse(const struct command *command, struct command_context *context,
                  const GOptionEntry *entries, int flags, int *argc, char ***argv, int least,
                  int most);

/* Opens the store. Reading commands pass `create` false: without a state directory there is nothing
 * to read, *exists is false, and nothing is made. Returns -1 or an exit code, with the message
 * printed. */
int command_open_store(struct command_context *context, bool create, bool *exists);

/* Loads the configuration. -1, or 78 with the diagnostics on standard error. */
int command_load_config(struct command_context *context);

/* The section, or NULL with "no repository ...; did you mean ...?" printed. */
const struct repo_config *command_find_repo(const struct command_context *context,
                                            const char *name);

/* The key (base/refkey.h) of what --branch or --tag named, NULL when neither did; both at once are
 * wrong usage. -1 or an exit code with the message printed. Free *key with g_free(). */
int command_take_ref(const char *branch, const char *tag, char **key);

/* "waiting for disk space: ...", when the daemon would start no job now; NULL when there is room.
 * Needs the configuration. Free with g_free(). */
char *command_describe_shortage(const struct command_context *context);

/* "12" -> 12; false for anything but a positive number. */
bool command_parse_job(const char *text, int64_t *job);

/* For commands with the one word JOB: parses the arguments and opens the store that has the job.
 * -1, or an exit code with the message printed. */
int command_parse_with_job(const struct command *command, struct command_context *context,
                           int flags, int *argc, char ***argv, int64_t *job);

/* Prints "phantom_ci: message" and gives the exit code that fits the error. */
int command_fail(const GError *error);
int command_fail_text(int code, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
