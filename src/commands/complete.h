/*
 * Completion: what may stand at the cursor of a command line.
 *
 * 1. completion_find() takes the words up to the cursor and finds, by the options that the commands
 *    themselves declare, which kinds of things belong there. No I/O.
 * 2. complete.c prints them, for the scripts of packaging/completions/.
 * 3. completion_clear().
 */
#ifndef PHANTOM_CI_COMMANDS_COMPLETE_H
#define PHANTOM_CI_COMMANDS_COMPLETE_H

#include "commands/commands.h"

enum completion_kind {
    COMPLETION_NOTHING, /* nothing that could be known before it is typed */
    COMPLETION_COMMANDS,
    COMPLETION_SUBCOMMANDS,
    COMPLETION_OPTIONS,
    COMPLETION_REPOS,
    COMPLETION_BRANCHES,
    COMPLETION_TAGS,
    COMPLETION_JOBS,
    COMPLETION_JOBS_ACTIVE,
    COMPLETION_JOBS_FINISHED,
    COMPLETION_JOBS_BLOCKED,
    COMPLETION_MESSAGES,
    COMPLETION_STATES,
    COMPLETION_MESSAGE_STATES,
    COMPLETION_TARGETS,
    COMPLETION_FORMATS,
    COMPLETION_LEVELS,
    COMPLETION_FILES,
    COMPLETION_DIRECTORIES,
};

enum { COMPLETION_KINDS = 2 }; /* at one place, at most */

struct completion_option {
    GOptionEntry entry;
    bool is_given; /* stands in the line already */
};

struct completion {
    enum completion_kind kinds[COMPLETION_KINDS];
    GArray *options;        /* of struct completion_option: what the command takes */
    GPtrArray *subcommands; /* of const struct command *, not owned */
    char *prefix;           /* what each candidate begins with, "--state="; or NULL */
    /* Parts of the line, not owned; NULL = not given. */
    const char *repo;
    const char *config_dir, *state_dir, *cache_dir;
};

/* `words` are those behind the program's name, as the command would get them; the last one is the
 * word at the cursor, of which only the beginning may be there. */
void completion_find(struct completion *completion, char *const *words, size_t count);
/* The options and subcommands of one command alone. */
void completion_describe(struct completion *completion, const struct command *command);
void completion_clear(struct completion *completion);

/* What an option's value is; false when this option is unknown here. */
bool completion_find_value(const char *command, const char *option, enum completion_kind *kind);

/* What the command's words (that are no options) are, COMPLETION_NOTHING at the end; NULL when it
 * takes none. *most is how many may stand there. */
const enum completion_kind *completion_find_words(const char *command, unsigned *most);

#endif
