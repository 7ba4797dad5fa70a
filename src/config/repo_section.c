#include "config/repo_section.h"

#include <string.h>

#include "base/text.h"
#include "base/units.h"
#include "config/host_steps.h"
#include "config/path_filter.h"
#include "config/workflow.h"

enum { NAME_MAX_BYTES = 100 };

/* Below the first no program starts; the second is Linux's own limit on 64-bit machines. */
enum { MEMORY_MINIMUM_BYTES = 4 << 20, PIDS_MAXIMUM = 4 << 20, DISK_MINIMUM_BYTES = 64 << 10 };

#ifdef PHANTOM_CI_FAULTS
/* Developer builds poll faster, so that tests need not wait. */
enum { POLL_MINIMUM_MS = 50 };
#else
enum { POLL_MINIMUM_MS = 1000 };
#endif

static struct config_checks checks;

void config_set_checks(const struct config_checks *further)
{
    checks = *further;
}

static bool refuse(char **why, const char *reason)
{
    *why = g_strdup(reason);
    return false;
}

/* C0, DEL and C1. */
static bool has_control_character(const char *text)
{
    for (; *text; text = g_utf8_next_char(text)) {
        if (g_unichar_iscntrl(g_utf8_get_char(text))) {
            return true;
        }
    }
    return false;
}

static bool ask(config_text_check check, const char *text, char **why)
{
    g_autoptr(GError) error = NULL;
    if (check && !check(text, &error)) {
        return refuse(why, error->message);
    }
    return true;
}

/* "~/x" below HOME, anything else as it is; NULL when HOME is needed and is no absolute path. */
static char *expand_home(const char *path)
{
    const char *home = g_getenv("HOME");
    if (!g_str_has_prefix(path, "~/")) {
        return g_strdup(path);
    }
    return home && *home == '/' ? g_build_filename(home, path + 2, NULL) : NULL;
}

/* Neither a scheme, nor host:path (git-clone(1): a colon before the first slash), nor absolute. */
static bool is_relative_path(const char *text)
{
    return *text != '/' && text[strcspn(text, ":/")] != ':';
}

static bool check_path(const char *text, char **why)
{
    if (!*text) {
        return refuse(why, "it is empty; write the repository's URL or absolute path");
    }
    if (*text == '-' || has_control_character(text) || strstr(text, "::")) {
        return refuse(why, "a URL neither begins with '-' nor holds control characters or \"::\"");
    }
    g_autofree char *expanded = expand_home(text);
    if (!expanded) {
        return refuse(why, "HOME is not set to an absolute path, so that ~/ means nothing");
    }
    if (is_relative_path(expanded)) {
        return refuse(why,
                      "it is a relative path; write a URL, an absolute path, or one that begins "
                      "with ~/");
    }
    return ask(checks.url, expanded, why);
}

/* Names and globs. */
static bool check_branch(const char *text, char **why)
{
    if (*text == '-' || has_control_character(text)) {
        return refuse(why, "a branch name neither begins with '-' nor holds control characters");
    }
    return text_is_glob(text) || ask(checks.ref_name, text, why);
}

static bool check_target(const char *text, char **why)
{
    return *text ? check_branch(text, why)
                 : refuse(why, "it is empty; for every branch write \"\" alone, not in a list");
}

static bool check_exclusion(const char *text, char **why)
{
    return *text ? check_branch(text, why) : refuse(why, "a branch name is empty");
}

static bool check_tag(const char *text, char **why)
{
    if (*text == '-' || has_control_character(text)) {
        return refuse(why, "a tag's name neither begins with '-' nor holds control characters");
    }
    if (!*text || g_str_has_prefix(text, "refs/")) {
        return refuse(why, "write a tag's short name, or a glob such as \"v*\"");
    }
    return text_is_glob(text) || ask(checks.ref_name, text, why);
}

static bool check_schedule(const char *text, char **why)
{
    return ask(checks.schedule, text, why);
}

static bool check_pattern(const char *text, char **why)
{
    return has_control_character(text) ? refuse(why, "it holds control characters")
                                       : path_filter_check(text, why);
}

static bool check_keep(const char *text, char **why)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", -1);
    if (!*text || *text == '/' || has_control_character(text)) {
        return refuse(why, "write paths relative to the checkout, for example \"target/\"");
    }
    for (char **part = parts; *part; part++) {
        bool last_empty = !**part && !part[1];
        if (strcmp(*part, "..") == 0 || strcmp(*part, ".") == 0 || (!**part && !last_empty) ||
            g_ascii_strcasecmp(*part, ".git") == 0) {
            return refuse(why, "a path to keep has no \"..\", \".\", \".git\" or empty parts");
        }
    }
    return true;
}

static bool check_file_path(const char *text, char **why)
{
    g_autofree char *expanded = expand_home(text);
    if (!expanded) {
        return refuse(why, "HOME is not set to an absolute path, so that ~/ means nothing");
    }
    if (*expanded != '/' || has_control_character(expanded)) {
        return refuse(why, "write an absolute path, or one that begins with ~/");
    }
    return true;
}

static bool check_env_file(const char *text, char **why)
{
    if (!g_str_has_prefix(text, CONFIG_CREDENTIAL_PREFIX)) {
        return check_file_path(text, why);
    }
    const char *name = text + strlen(CONFIG_CREDENTIAL_PREFIX);
    return (*name && *name != '.' && !strchr(name, '/') && !has_control_character(name)) ||
           refuse(why, "write credential: and the name of a credential of the service, as in "
                       "LoadCredential=NAME:PATH");
}

static bool check_word(const char *text, char **why)
{
    return !has_control_character(text) || refuse(why, "it holds control characters");
}

/* A short id is not enough: others can make a key with the same one. */
static bool check_fingerprint(const char *text, char **why)
{
    size_t digits = strspn(text, "0123456789abcdefABCDEF");
    return (text[digits] == '\0' && (digits == 40 || digits == 64)) ||
           refuse(why, "write the whole fingerprint, 40 hexadecimal digits without blanks, as gpg "
                       "--list-keys shows it");
}

static bool check_executor(const char *text, char **why)
{
    if (strcmp(text, "local") == 0 || strcmp(text, "slurm") == 0 ||
        (g_str_has_prefix(text, "podman:") && text[strlen("podman:")])) {
        return true;
    }
    *why =
        g_strdup_printf("it must be \"local\", \"podman:IMAGE\" or \"slurm\", found \"%s\"", text);
    return false;
}

static const char *const push_choices[] = {"queue", "cancel_running", NULL};
static const char *const rewind_choices[] = {"run", "block", NULL};
static const char *const interrupt_choices[] = {"fail", "rerun", NULL};
static const char *const sandbox_choices[] = {"off", "workspace", "strict", NULL};
static const char *const verify_choices[] = {"tip", "range", NULL};
static const char *const executor_choices[] = {"local", NULL};
static const char *const approval_choices[] = {"never", "on_change", NULL};
static const char *const road_choices[] = {"auto", "git", NULL};
static const char *const notify_choices[] = {"all", "failures", "changes", "none", NULL};

const char *config_sandbox_name(enum sandbox_choice choice)
{
    return sandbox_choices[choice];
}

const char *config_verify_name(enum verify_choice choice)
{
    return verify_choices[choice];
}

const char *config_approval_name(enum approval_choice choice)
{
    return approval_choices[choice];
}

bool config_sandbox_is_known(const char *name)
{
    return g_strv_contains(sandbox_choices, name);
}

#define FIELD(field) offsetof(struct repo_config, field)

#define DAY_MS 86400000LL

/* `path` is the first: the rest are the keys of [defaults]. */
const struct schema_key repo_section_keys[] = {
    {"path", SCHEMA_STRING, FIELD(url), .check = check_path},
    {"target_branch", SCHEMA_STRING_LIST, FIELD(target_branches), .check = check_target,
     .empty_array = "it is an empty list; write \"\" to run every branch"},
    {"branch_exclusions", SCHEMA_COMMA_LIST, FIELD(branch_exclusions), .check = check_exclusion},
    {"target_tags", SCHEMA_STRING_LIST, FIELD(target_tags), .check = check_tag},
    {"schedule", SCHEMA_STRING_LIST, FIELD(schedule), .check = check_schedule},
    {"paths", SCHEMA_STRING_LIST, FIELD(paths), .check = check_pattern},
    {"skip_ci", SCHEMA_BOOLEAN, FIELD(skip_ci)},
    {"ssh_key_path", SCHEMA_STRING, FIELD(ssh_key_path), .check = check_file_path},
    {"poll_interval", SCHEMA_DURATION, FIELD(poll_interval_ms), POLL_MINIMUM_MS, 7 * DAY_MS,
     .zero_word = "auto"},
    {"poll_interval_min", SCHEMA_DURATION, FIELD(poll_interval_min_ms), POLL_MINIMUM_MS,
     7 * DAY_MS},
    {"poll_interval_max", SCHEMA_DURATION, FIELD(poll_interval_max_ms), POLL_MINIMUM_MS,
     7 * DAY_MS},
    {"road", SCHEMA_CHOICE, FIELD(road), .choices = road_choices},
    {"timeout", SCHEMA_DURATION, FIELD(timeout_ms), 1, 30 * DAY_MS},
    {"grace", SCHEMA_DURATION, FIELD(grace_ms), 0, 3600000},
    {"fetch_timeout", SCHEMA_DURATION, FIELD(fetch_timeout_ms), 100, DAY_MS},
    {"fetch_max", SCHEMA_SIZE, FIELD(fetch_max_bytes), 65536},
    {"log_cap", SCHEMA_SIZE, FIELD(log_cap_bytes), 65536},
    {"priority", SCHEMA_INTEGER, FIELD(priority), -1000, 1000},
    {"on_push", SCHEMA_CHOICE, FIELD(on_push), .choices = push_choices},
    {"on_rewind", SCHEMA_CHOICE, FIELD(on_rewind), .choices = rewind_choices},
    {"on_interrupt", SCHEMA_CHOICE, FIELD(on_interrupt), .choices = interrupt_choices},
    {"notify", SCHEMA_CHOICE, FIELD(notify), .choices = notify_choices},
    {"submodules", SCHEMA_BOOLEAN, FIELD(submodules)},
    {"keep", SCHEMA_STRING_LIST, FIELD(keep), .check = check_keep},
    {"env", SCHEMA_ENVIRONMENT, FIELD(env)},
    {"env_file", SCHEMA_STRING_LIST, FIELD(env_file), .check = check_env_file},
    {"secret_command", SCHEMA_STRING_LIST, FIELD(secret_command), .check = check_word,
     .no_string = "write the program and its arguments as a list, [\"pass\", \"show\", \"ci\"]; "
                  "there is no shell"},
    {"secret_timeout", SCHEMA_DURATION, FIELD(secret_timeout_ms), 100, 3600000},
    {"sandbox", SCHEMA_CHOICE, FIELD(sandbox), .choices = sandbox_choices},
    {"network", SCHEMA_SWITCH, FIELD(network)},
    {"writable", SCHEMA_STRING_LIST, FIELD(writable), .check = check_file_path},
    {"readable", SCHEMA_STRING_LIST, FIELD(readable), .check = check_file_path},
    {"hidden", SCHEMA_STRING_LIST, FIELD(hidden), .check = check_file_path},

    {"allowed_signers", SCHEMA_STRING, FIELD(allowed_signers), .check = check_file_path},
    {"allowed_gpg_keys", SCHEMA_STRING_LIST, FIELD(allowed_gpg_keys), .check = check_fingerprint},
    {"gpg_keyring", SCHEMA_STRING, FIELD(gpg_keyring), .check = check_file_path},
    {"verify", SCHEMA_CHOICE, FIELD(verify), .choices = verify_choices},
    {"strict_signatures", SCHEMA_BOOLEAN, FIELD(strict_signatures)},
    {"workflow_approval", SCHEMA_CHOICE, FIELD(workflow_approval), .choices = approval_choices},
    {"approve_paths", SCHEMA_STRING_LIST, FIELD(approve_paths), .check = check_pattern},
    {"steps", SCHEMA_ITEM_LIST, FIELD(steps), .maximum = WORKFLOW_MAX_STEPS,
     .read_item = workflow_read_line,
     .empty_array = "it is an empty list; write a step, for example \"make\", or remove the line"},
    {"workflow_file", SCHEMA_STRING, FIELD(workflow_file), .check = check_file_path},

    {"memory_max", SCHEMA_SIZE, FIELD(memory_max_bytes), MEMORY_MINIMUM_BYTES, .zero_word = "none"},
    {"pids_max", SCHEMA_INTEGER, FIELD(pids_max), 0, PIDS_MAXIMUM},
    {"cpu_max", SCHEMA_PROCESSORS, FIELD(cpu_max_milli), 10, 4096 * 1000},
    {"disk_max", SCHEMA_SIZE, FIELD(disk_max_bytes), DISK_MINIMUM_BYTES, .zero_word = "none"},
    {"idle_timeout", SCHEMA_DURATION, FIELD(idle_timeout_ms), 100, 30 * DAY_MS,
     .zero_word = "none"},
    {"nice", SCHEMA_INTEGER, FIELD(nice), 0, 19},

    {"executor", SCHEMA_STRING, .choices = executor_choices, .check = check_executor,
     .state = SCHEMA_DEFAULT_ONLY},

    {NULL},
};
const struct schema_key *const repo_default_keys = repo_section_keys + 1;

struct repo_config *repo_section_new(void)
{
    struct repo_config *section = g_new0(struct repo_config, 1);
    section->target_branches = g_strsplit("master", ",", -1);
    section->branch_exclusions = g_new0(char *, 1);
    section->target_tags = g_new0(char *, 1);
    section->schedule = g_new0(char *, 1);
    section->paths = g_new0(char *, 1);
    section->keep = g_new0(char *, 1);
    section->env = g_new0(char *, 1);
    section->env_file = g_new0(char *, 1);
    section->secret_command = g_new0(char *, 1);
    section->writable = g_new0(char *, 1);
    section->readable = g_new0(char *, 1);
    section->hidden = g_new0(char *, 1);
    section->allowed_gpg_keys = g_new0(char *, 1);
    section->approve_paths = g_new0(char *, 1);
    section->steps = g_new0(char *, 1);
    section->poll_interval_ms = 60 * 1000;
    section->poll_interval_min_ms = 15 * 1000;
    section->poll_interval_max_ms = 15 * 60 * 1000;
    section->timeout_ms = 3600 * 1000;
    section->grace_ms = 10 * 1000;
    section->fetch_timeout_ms = 10 * 60 * 1000;
    section->secret_timeout_ms = 30 * 1000;
    section->fetch_max_bytes = (int64_t)16 * 1024 * 1024 * 1024;
    section->log_cap_bytes = 64 * 1024 * 1024;
    return section;
}

struct repo_config *repo_section_copy(const struct repo_config *section)
{
    struct repo_config *copy = g_new0(struct repo_config, 1);
    schema_copy(repo_section_keys, section, copy);
    copy->name = g_strdup(section->name);
    copy->line = section->line;
    return copy;
}

void repo_config_free(struct repo_config *repo)
{
    if (repo) {
        schema_release(repo_section_keys, repo);
        g_strfreev(repo->secret_files);
        g_free(repo->name);
        g_free(repo);
    }
}

static void expand_home_in_place(char **path)
{
    char *expanded = *path ? expand_home(*path) : NULL;
    if (expanded) {
        g_free(*path);
        *path = expanded;
    }
}

static void expand_home_in_list(char **paths)
{
    for (; *paths; paths++) {
        expand_home_in_place(paths);
    }
}

bool repo_section_name_is_valid(const char *name, size_t length)
{
    return *name && strlen(name) == length && length <= NAME_MAX_BYTES && *name != '-' &&
           !strchr(name, '/') && g_utf8_validate(name, -1, NULL) && !has_control_character(name);
}

static void check_name(const struct toml_value *section, const char *file,
                       struct diagnostics *diagnostics)
{
    if (!repo_section_name_is_valid(section->key, section->key_length)) {
        g_autoptr(GString) shown = g_string_new(NULL);
        text_append_escaped(shown, section->key, section->key_length, TEXT_ONE_LINE);
        diagnostics_add(
            diagnostics, file, section->key_line, section->key_column,
            "\"%s\" can't name a repository: 1 to %d bytes, no '/', no control characters, no "
            "'-' in front",
            shown->str, NAME_MAX_BYTES);
    }
}

static void check_intervals(const struct repo_config *repo, const struct toml_value *section,
                            const char *file, struct diagnostics *diagnostics)
{
    if (repo->poll_interval_min_ms <= repo->poll_interval_max_ms) {
        return;
    }
    const struct toml_value *key = toml_find(section, "poll_interval_min");
    key = key ? key : toml_find(section, "poll_interval_max");
    key = key ? key : section;
    g_autofree char *least = units_format_duration(repo->poll_interval_min_ms);
    g_autofree char *most = units_format_duration(repo->poll_interval_max_ms);
    diagnostics_add(diagnostics, file, key->key_line, key->key_column,
                    "poll_interval_min (%s) is more than poll_interval_max (%s)", least, most);
}

bool repo_config_wants_signatures(const struct repo_config *repo)
{
    return repo->allowed_signers || *repo->allowed_gpg_keys;
}

/* Where a key stands in the section, else where the section begins: it came from [defaults]. */
static void complain(const struct toml_value *section, const char *key, const char *file,
                     struct diagnostics *diagnostics, const char *text)
{
    const struct toml_value *found = toml_find(section, key);
    const struct toml_value *place = found ? found : section;
    diagnostics_add(diagnostics, file, place->key_line, place->key_column, "\"%s\" %s", key, text);
}

/* What would look like a check and be none is refused. */
static void check_trust(const struct repo_config *repo, const struct toml_value *section,
                        const char *file, struct diagnostics *diagnostics)
{
    static const char *const meant_for_them[] = {"verify", "strict_signatures"};
    if (*repo->allowed_gpg_keys && !repo->gpg_keyring) {
        complain(
            section, "allowed_gpg_keys", file, diagnostics,
            "needs \"gpg_keyring\": the file with these public keys, as gpg --export writes it");
    }
    if (repo->gpg_keyring && !*repo->allowed_gpg_keys) {
        complain(section, "gpg_keyring", file, diagnostics,
                 "needs \"allowed_gpg_keys\": the fingerprints of those keys in it that may sign");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(meant_for_them); i++) {
        if (!repo_config_wants_signatures(repo) && toml_find(section, meant_for_them[i])) {
            complain(section, meant_for_them[i], file, diagnostics,
                     "does nothing without \"allowed_signers\" or \"allowed_gpg_keys\"");
        }
    }
    if (repo->workflow_approval == APPROVAL_NEVER && toml_find(section, "approve_paths")) {
        complain(section, "approve_paths", file, diagnostics,
                 "does nothing without \"workflow_approval\" = \"on_change\"");
    }
}

static void check_secret_command(const struct repo_config *repo, const struct toml_value *section,
                                 const char *file, struct diagnostics *diagnostics)
{
    const char *program = repo->secret_command[0];
    if (!program && toml_find(section, "secret_timeout")) {
        complain(section, "secret_timeout", file, diagnostics,
                 "does nothing without \"secret_command\"");
    }
    if (program && (!*program || (*program != '/' && strchr(program, '/')))) {
        complain(section, "secret_command", file, diagnostics,
                 "begins with the name of a program that PATH leads to, an absolute path, or one "
                 "that begins with ~/");
    }
}

void repo_section_check_one_place(const struct toml_value *table, const char *file,
                                  struct diagnostics *diagnostics)
{
    if (toml_find(table, "steps") && toml_find(table, "workflow_file")) {
        complain(table, "workflow_file", file, diagnostics,
                 "can't stand beside \"steps\": both say which steps run; remove one of them");
    }
}

/* What a section says takes the place of the other key in [defaults]. */
static void choose_host_steps(struct repo_config *repo, const struct toml_value *section)
{
    if (toml_find(section, "workflow_file")) {
        g_strfreev(repo->steps);
        repo->steps = g_new0(char *, 1);
    } else if (toml_find(section, "steps")) {
        g_clear_pointer(&repo->workflow_file, g_free);
    }
}

static void check_host_steps(const struct repo_config *repo, const struct toml_value *section,
                             const char *file, struct diagnostics *diagnostics)
{
    size_t bytes = 0;
    for (char **line = repo->steps; *line; line++) {
        bytes += strlen(*line) + 1;
    }
    if (bytes > WORKFLOW_MAX_BYTES) {
        g_autofree char *text =
            g_strdup_printf("is larger than %d bytes; put a script on this machine and call it",
                            WORKFLOW_MAX_BYTES);
        complain(section, "steps", file, diagnostics, text);
    }
    if (host_steps_are_set(repo) && repo->workflow_approval == APPROVAL_ON_CHANGE &&
        !*repo->approve_paths && toml_find(section, "workflow_approval")) {
        complain(section, "workflow_approval", file, diagnostics,
                 "has nothing to approve: the steps are the host's, and \"approve_paths\" names no "
                 "file of the repository");
    }
}

struct repo_config *repo_section_read(const struct toml_value *section,
                                      const struct repo_config *defaults, const char *file,
                                      struct diagnostics *diagnostics)
{
    unsigned before = diagnostics->items->len + diagnostics->dropped;
    struct repo_config *repo = repo_section_copy(defaults);
    g_free(repo->name);
    repo->name = g_strdup(section->key);
    repo->line = section->key_line;
    check_name(section, file, diagnostics);
    schema_read(repo_section_keys, section, file, repo, diagnostics);
    if (!toml_find(section, "path")) {
        diagnostics_add(
            diagnostics, file, section->key_line, section->key_column,
            "section \"%s\" has no \"path\": the URL or absolute path of the repository",
            section->key);
    }
    check_intervals(repo, section, file, diagnostics);
    expand_home_in_place(&repo->url);
    expand_home_in_place(&repo->ssh_key_path);
    expand_home_in_list(repo->writable);
    expand_home_in_list(repo->readable);
    expand_home_in_list(repo->hidden);
    expand_home_in_list(repo->env_file);
    expand_home_in_place(&repo->secret_command[0]);
    expand_home_in_place(&repo->allowed_signers);
    expand_home_in_place(&repo->gpg_keyring);
    expand_home_in_place(&repo->workflow_file);
    repo_section_check_one_place(section, file, diagnostics);
    choose_host_steps(repo, section);
    if (diagnostics->items->len + diagnostics->dropped == before) {
        check_trust(repo, section, file, diagnostics);
        check_secret_command(repo, section, file, diagnostics);
        check_host_steps(repo, section, file, diagnostics);
    }
    if (diagnostics->items->len + diagnostics->dropped != before) {
        repo_config_free(repo);
        return NULL;
    }
    return repo;
}
