/*
 * The user's configuration: Repo.toml (repositories) and config.toml (the runner), as typed
 * structs.
 *
 * 1. config_load() reads both files of a directory and reports every error in one pass. Missing
 *    files are not errors: no repositories, all defaults.
 * 2. A struct config is immutable after loading; the daemon keeps the last good one in force.
 *
 * Every key is checked: an unknown one is an error with a did-you-mean, one whose feature this
 * version does not have is an error that says so.
 */
#ifndef PHANTOM_CI_CONFIG_CONFIG_H
#define PHANTOM_CI_CONFIG_CONFIG_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/diagnostics.h"

#define CONFIG_ERROR (g_quark_from_static_string("phantom-ci-config"))

enum { CONFIG_FILE_MAX_BYTES = 4 * 1024 * 1024 };

enum on_push { ON_PUSH_QUEUE, ON_PUSH_CANCEL_RUNNING };
enum on_rewind { ON_REWIND_RUN, ON_REWIND_BLOCK };
enum on_interrupt { ON_INTERRUPT_FAIL, ON_INTERRUPT_RERUN };
enum sandbox_choice { SANDBOX_CHOICE_OFF, SANDBOX_CHOICE_WORKSPACE, SANDBOX_CHOICE_STRICT };
/* In the order of SCHEMA_SWITCH. */
enum network_choice { NETWORK_BY_LEVEL, NETWORK_DENIED, NETWORK_ALLOWED };
enum road_choice { ROAD_CHOICE_AUTO, ROAD_CHOICE_GIT };
enum verify_choice { VERIFY_CHOICE_TIP, VERIFY_CHOICE_RANGE };
enum approval_choice { APPROVAL_NEVER, APPROVAL_ON_CHANGE };
enum notify_policy { NOTIFY_ALL, NOTIFY_FAILURES, NOTIFY_CHANGES, NOTIFY_NONE };

enum { POLL_INTERVAL_AUTO = 0 };

/* One section of Repo.toml, with the defaults filled in. Lists are NULL-terminated string vectors,
 * never NULL. */
struct repo_config {
    char *name; /* the section header, unique */
    char *url;  /* `path`: https, http, ssh, scp-like, file:// or an absolute path; ~/ expanded */
    char **target_branches;   /* names and globs; empty = every branch (target_branch = "") */
    char **branch_exclusions; /* names and globs */
    char **target_tags;       /* names and globs; empty = no tags */
    char **schedule;          /* lines of cron (poll/cron.h), each of them good; empty = none */
    char **paths;             /* patterns (config/path_filter.h); empty = whatever changed */
    bool skip_ci;             /* a subject that says [skip ci] is obeyed */
    char *ssh_key_path;       /* absolute, or NULL */
    /* >= 1000 (50 in builds with injected faults), or POLL_INTERVAL_AUTO: within the two bounds */
    int64_t poll_interval_ms;
    int64_t poll_interval_min_ms, poll_interval_max_ms;
    enum road_choice road;    /* how it is looked at: as is best, or with `git ls-remote` alone */
    int64_t timeout_ms;       /* of the whole job */
    int64_t grace_ms;         /* between SIGTERM and SIGKILL */
    int64_t fetch_timeout_ms; /* of one fetch */
    int64_t fetch_max_bytes;  /* no pack, and no file of a checkout, is larger */
    int64_t log_cap_bytes;
    int priority; /* higher runs earlier; -1000 to 1000 */
    enum on_push on_push;
    enum on_rewind on_rewind;
    enum on_interrupt on_interrupt;
    enum notify_policy notify;
    bool submodules;
    char **keep; /* untracked relative paths that survive cleaning; a trailing '/' = a directory */
    char **env;  /* "K=V" */
    char **env_file;           /* secrets for the steps: absolute paths, and "credential:NAME" */
    char **secret_command;     /* argv of a program that prints more of them; empty = none */
    int64_t secret_timeout_ms; /* of that program */
    enum sandbox_choice sandbox;
    enum network_choice network; /* by level: allowed, but not in "strict" */
    char **writable; /* absolute paths that a sandboxed step may write, besides the workspace */
    char **readable; /* that it may read although they are hidden */
    char **hidden;   /* that it may not see, besides those that always are */
    char *allowed_signers;   /* absolute, or NULL: SSH keys that may sign what runs */
    char **allowed_gpg_keys; /* fingerprints of 40 or 64 hex digits; empty = none */
    char *gpg_keyring;       /* absolute; set when allowed_gpg_keys is not empty */
    enum verify_choice verify;
    bool strict_signatures; /* what is not signed so can't be approved either */
    enum approval_choice
        workflow_approval; /* a workflow that is new or changed waits for a person */
    char **approve_paths;  /* patterns (config/path_filter.h) of what else is approved with it */
    /* What a job may take; 0 = no limit. See job/limits.h. */
    int64_t memory_max_bytes; /* all processes of a step together */
    int pids_max;             /* processes and threads of a step */
    int cpu_max_milli;        /* thousandths of one processor */
    int64_t disk_max_bytes;   /* workspace and TMPDIR together */
    int64_t idle_timeout_ms;  /* a step without output for so long is ended */
    int nice;                 /* added to phantom_ci's own, 0 to 19 */
    /* In what repo_config_from_json() made, else NULL: see config_secret_files(). */
    char **secret_files;
    /* In place of the repository's workflow, see config/host_steps.h; at most one of them is set.
     */
    char **steps;        /* lines of config/workflow.h */
    char *workflow_file; /* absolute, or NULL */
    unsigned line;       /* of the header in Repo.toml; not part of the JSON form */
};

struct config {
    GPtrArray *repos;   /* of struct repo_config *, in the order of the file */
    unsigned max_jobs;  /* default: number of processors */
    unsigned max_looks; /* `git ls-remote` at once, default 16; one that takes over 5 s gives its
                           place up */
    unsigned max_looks_per_host;        /* looks at one host at once, default 16 */
    unsigned looks_per_minute_per_host; /* that begin at one host; 0 = no limit, the default */
    int64_t look_timeout_ms;            /* hard limit of one look, default 30 s */
    /* how long SIGTERM waits for jobs before it leaves them, default 5 s */
    int64_t drain_timeout_ms;
    /* Retention, see store/retention.h; 0 = for ever, no limit, off. */
    int64_t keep_jobs_for_ms;  /* after the end of a job, default 90 days */
    unsigned keep_jobs;        /* newest finished ones of each branch, default 1000 */
    int64_t keep_bytes;        /* of all logs together, default 10 GiB */
    int64_t keep_cache_for_ms; /* what no watched branch uses any more, default 7 days */
    int64_t min_free_bytes;    /* no job starts below; default DISK_MIN_FREE_DEFAULT */
};

/* NULL when any file has an error (all of them are in `diagnostics`): not a regular file, larger
 * than CONFIG_FILE_MAX_BYTES, writable by others than its owner, owned by another user than this
 * one and root, not UTF-8, not TOML, or with a key or value that is not accepted. Free with
 * config_free(). */
struct config *config_load(const char *config_directory, struct diagnostics *diagnostics);
void config_free(struct config *config);

const struct repo_config *config_find_repo(const struct config *config, const char *name);

/* Names of all sections, nearest to `name` or NULL, for "no repository X; did you mean Y". */
const char *config_nearest_repo(const struct config *config, const char *name);

/* True when the branch is one that the section asks for: matches a target and no exclusion. */
bool repo_config_wants_branch(const struct repo_config *repo, const char *branch);

/* True when target_branches are plain names only, so that an absent one is "branch missing". */
bool repo_config_has_named_branches(const struct repo_config *repo);

/* "off", "workspace", "strict" */
const char *config_sandbox_name(enum sandbox_choice choice);
/* "tip", "range"; "never", "on_change" */
const char *config_verify_name(enum verify_choice choice);
const char *config_approval_name(enum approval_choice choice);
/* True for a level of a sandbox. */
bool config_sandbox_is_known(const char *name);

/* What decides which branches a look sees: url, targets and exclusions in one string. When it
 * changes, branches that were not known yet are a new baseline, not pushes. Free with g_free(). */
char *repo_config_selection(const struct repo_config *repo);

/* True when only signed commits run. */
bool repo_config_wants_signatures(const struct repo_config *repo);

bool repo_config_wants_tag(const struct repo_config *repo, const char *tag);

/* The same for tags, which are selected apart from branches; NULL when the section asks for none.
 */
char *repo_config_tag_selection(const struct repo_config *repo);

#define CONFIG_CREDENTIAL_PREFIX "credential:"

/* The files with secrets of all sections, whose steps must not see one another's: `env_file` and
 * `ssh_key_path`. Free with g_strfreev(). */
char **config_secret_files(const struct config *config);

/* A section as JSON for phantom_ci-job, with the secret files of all sections, and back (every
 * field but `line`). */
char *repo_config_to_json(const struct repo_config *repo, const char *const *secret_files);
struct repo_config *repo_config_from_json(const char *json, size_t length, GError **error);
void repo_config_free(struct repo_config *repo);

/* Further checks, which belong to other modules. Set once at the start of the program; NULL = only
 * the light checks that are made in any case. */
typedef bool (*config_text_check)(const char *text, GError **error);
struct config_checks {
    config_text_check url;      /* `path`, with ~/ expanded */
    config_text_check ref_name; /* of a branch or a tag, when it is no glob */
    config_text_check schedule; /* a line of `schedule` */
};
void config_set_checks(const struct config_checks *checks);

/* Checks one file by its name as `phantom_ci check FILE` does: Repo.toml, config.toml, else a
 * workflow. */
void config_check_file(const char *path, struct diagnostics *diagnostics);

/* The same for the bytes of a file that is yet to be written at `path`. */
void config_check_text(const char *path, const char *bytes, size_t length,
                       struct diagnostics *diagnostics);

#endif
