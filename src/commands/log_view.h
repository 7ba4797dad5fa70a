/* The output of jobs on standard output. */
#ifndef PHANTOM_CI_COMMANDS_LOG_VIEW_H
#define PHANTOM_CI_COMMANDS_LOG_VIEW_H

#include "commands/commands.h"

struct log_request {
    struct command_context *context;
    int64_t job;         /* or 0: all that match the following */
    const char *filter;  /* as of struct job_filter; or NULL */
    char *repo, *branch; /* exact, the branch as a key (base/refkey.h); or NULL */
    int lines;           /* only the last; 0 = all */
    gint64 step;         /* -1 = all */
    gboolean follow, timestamps, raw;
};

/* One job. Byte for byte when standard output is no terminal and neither --timestamps nor --limit
 * is asked; on a terminal with the steps' headers and the runner's notes, control characters
 * escaped unless `raw`. */
int log_view_job(const struct log_request *request);

/* The lines of all matching jobs, oldest first, each led by its job. */
int log_view_all(const struct log_request *request);

#endif
