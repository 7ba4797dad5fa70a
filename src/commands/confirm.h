/* One question before something is lost. */
#ifndef PHANTOM_CI_COMMANDS_CONFIRM_H
#define PHANTOM_CI_COMMANDS_CONFIRM_H

/* -1 after a yes; else the exit code: 1 after anything else, 2 when there is no terminal to ask on
 * (`hint` says how to do without). */
int confirm(const char *question, const char *hint);

#endif
