/* The functions behind the table in commands.c. */
#ifndef PHANTOM_CI_COMMANDS_ALL_H
#define PHANTOM_CI_COMMANDS_ALL_H

#include "commands/commands.h"

int command_add(const struct command *command, int argc, char **argv);
int command_approve(const struct command *command, int argc, char **argv);
int command_backup(const struct command *command, int argc, char **argv);
int command_cancel(const struct command *command, int argc, char **argv);
int command_check(const struct command *command, int argc, char **argv);
int command_gc(const struct command *command, int argc, char **argv);
int command_configure(const struct command *command, int argc, char **argv);
int command_complete(const struct command *command, int argc, char **argv);
int command_daemon(const struct command *command, int argc, char **argv);
int command_doctor(const struct command *command, int argc, char **argv);
int command_import_original(const struct command *command, int argc, char **argv);
int command_job(const struct command *command, int argc, char **argv);
int command_jobs(const struct command *command, int argc, char **argv);
int command_logs(const struct command *command, int argc, char **argv);
int command_notify(const struct command *command, int argc, char **argv);
int command_pause(const struct command *command, int argc, char **argv);
int command_poll(const struct command *command, int argc, char **argv);
int command_remove(const struct command *command, int argc, char **argv);
int command_repo(const struct command *command, int argc, char **argv);
int command_reset(const struct command *command, int argc, char **argv);
int command_restore(const struct command *command, int argc, char **argv);
int command_resume(const struct command *command, int argc, char **argv);
int command_retry(const struct command *command, int argc, char **argv);
int command_sandbox(const struct command *command, int argc, char **argv);
int command_run(const struct command *command, int argc, char **argv);
int command_status(const struct command *command, int argc, char **argv);
int command_version(const struct command *command, int argc, char **argv);
int command_why(const struct command *command, int argc, char **argv);

#endif
