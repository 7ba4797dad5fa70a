/* What `phantom_ci import-original` found and did, and how it says so. */
#ifndef PHANTOM_CI_COMMANDS_IMPORT_REPORT_H
#define PHANTOM_CI_COMMANDS_IMPORT_REPORT_H

#include "commands/commands.h"
#include "config/original.h"
#include "store/original.h"

/* A commit of the original's database that belongs to a branch of a section. */
struct import_tip {
    const struct original_entry *entry;
    char *repo, *branch, *sha;
    bool known; /* this installation knows the branch itself: nothing was recorded */
};

struct import {
    struct command_context *context;
    gboolean dry_run;
    char *directory; /* of the original */
    char *repo_toml; /* ours */
    bool in_place;   /* both are one file */
    struct original *original;
    bool has_database;
    GPtrArray *tips;    /* struct original_tip *, or NULL */
    unsigned ignored;   /* rows that held nothing usable */
    GHashTable *kept;   /* entries that are here already */
    char *text;         /* our Repo.toml from now on */
    bool changed;       /* it differs from what was there */
    char *kept_as;      /* the other name of the file that was replaced, or NULL */
    GPtrArray *matched; /* struct import_tip * */
};

/* Prints it, as text or JSON; the exit code. */
int import_report(const struct import *import);

#endif
