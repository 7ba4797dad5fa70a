/* What the approval of a workflow is about, shown to the person who is asked for it. */
#ifndef PHANTOM_CI_COMMANDS_APPROVE_DIFF_H
#define PHANTOM_CI_COMMANDS_APPROVE_DIFF_H

#include "commands/commands.h"

/* Prints how the workflow of `job`, and what else its section asks approval for, differs from what
 * was approved last on its branch, or the workflow itself where nothing was. Escaped and bounded.
 * False when it can't be had: then nothing must be approved. */
bool approve_print_change(struct command_context *context, const struct job *job,
                          const struct repo_config *repo, GError **error);

#endif
