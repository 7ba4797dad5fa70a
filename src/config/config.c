#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fd.h"
#include "base/text.h"
#include "config/repo_section.h"
#include "config/schema.h"
#include "config/workflow.h"

#define DAY_MS 86400000LL
#define GIB    (1024LL * 1024 * 1024)

/* What config.toml says beside the defaults of sections. */
static const struct schema_key runner_keys[] = {
    {"max_jobs", SCHEMA_UNSIGNED, offsetof(struct config, max_jobs), .minimum = 1, .maximum = 1000},
    {"max_looks", SCHEMA_UNSIGNED, offsetof(struct config, max_looks), .minimum = 1,
     .maximum = 256},
    {"max_looks_per_host", SCHEMA_UNSIGNED, offsetof(struct config, max_looks_per_host),
     .minimum = 1, .maximum = 256},
    {"looks_per_minute_per_host", SCHEMA_UNSIGNED,
     offsetof(struct config, looks_per_minute_per_host), .minimum = 0, .maximum = 60000},
    {"look_timeout", SCHEMA_DURATION, offsetof(struct config, look_timeout_ms), .minimum = 100,
     .maximum = 3600000},
    {"drain_timeout", SCHEMA_DURATION, offsetof(struct config, drain_timeout_ms), .minimum = 0,
     .maximum = 86400000},
    {"keep_jobs_for", SCHEMA_DURATION, offsetof(struct config, keep_jobs_for_ms), .minimum = 0},
    {"keep_jobs", SCHEMA_UNSIGNED, offsetof(struct config, keep_jobs), .minimum = 0,
     .maximum = G_MAXINT},
    {"keep_bytes", SCHEMA_SIZE, offsetof(struct config, keep_bytes), .minimum = 0},
    {"keep_cache_for", SCHEMA_DURATION, offsetof(struct config, keep_cache_for_ms), .minimum = 0},
    {"min_free", SCHEMA_SIZE, offsetof(struct config, min_free_bytes), .minimum = 0},
    {"poll_interval", .type = SCHEMA_ANY},
    {"poll_interval_min", .type = SCHEMA_ANY},
    {"poll_interval_max", .type = SCHEMA_ANY},
    {"timeout", .type = SCHEMA_ANY},
    {"grace", .type = SCHEMA_ANY},
    {"fetch_timeout", .type = SCHEMA_ANY},
    {"log_cap", .type = SCHEMA_ANY},
    {"defaults", .type = SCHEMA_ANY},
    {NULL},
};

/* Limits of sections that may stand at the top of config.toml too. */
static const char *const top_level_defaults[] = {
    "poll_interval", "poll_interval_min", "poll_interval_max", "timeout", "grace", "fetch_timeout",
    "log_cap"};

/* Others must not be able to say what this user runs (as sshd's StrictModes). */
static bool check_owner_and_mode(const char *path, const struct stat *status,
                                 struct diagnostics *diagnostics)
{
    g_autofree char *quoted = g_shell_quote(path);
    if (status->st_uid != geteuid() && status->st_uid != 0) {
        diagnostics_add(
            diagnostics, path, 0, 0,
            "belongs to user %u, neither to the user who runs this (%u) nor to root; mend it with: "
            "chown %u %s",
            (unsigned)status->st_uid, (unsigned)geteuid(), (unsigned)geteuid(), quoted);
        return false;
    }
    if (status->st_mode & 0022) {
        diagnostics_add(diagnostics, path, 0, 0,
                        "may be written by others (mode %03o); mend it with: chmod go-w %s",
                        (unsigned)(status->st_mode & 0777), quoted);
        return false;
    }
    return true;
}

/* Nothing there at all; a link that leads nowhere is a mistake, not an absent file. */
static bool is_absent(const char *path)
{
    struct stat status;
    return lstat(path, &status) < 0 && errno == ENOENT;
}

/* The bytes of a file, or NULL with a diagnostic. `is_config`: the owner and the mode count. */
static char *read_text(const char *path, bool is_config, size_t *length,
                       struct diagnostics *diagnostics)
{
    size_t limit = is_config ? CONFIG_FILE_MAX_BYTES : WORKFLOW_MAX_BYTES;
    struct stat status;
    g_autoptr(GError) error = NULL;
    /* O_NONBLOCK: opening a FIFO that nobody writes would wait for ever. */
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0) {
        diagnostics_add(diagnostics, path, 0, 0, "cannot be read: %s", g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(status.st_mode)) {
        diagnostics_add(diagnostics, path, 0, 0, "is not a regular file");
        return NULL;
    }
    if (is_config && !check_owner_and_mode(path, &status, diagnostics)) {
        return NULL;
    }
    if (status.st_size > (off_t)limit) {
        diagnostics_add(diagnostics, path, 0, 0, "is larger than %zu bytes", limit);
        return NULL;
    }
    char *bytes = fd_read_to_end(fd, limit, length, &error);
    if (!bytes) {
        diagnostics_add(diagnostics, path, 0, 0, "cannot be read: %s", error->message);
    }
    return bytes;
}

static struct toml_value *parse_toml(const char *path, const char *bytes, size_t length,
                                     struct diagnostics *diagnostics)
{
    struct toml_error problem;
    struct toml_value *root = toml_parse(bytes, length, &problem);
    if (!root) {
        diagnostics_add(diagnostics, path, problem.line, problem.column, "%s", problem.message);
    }
    return root;
}

/* NULL without a diagnostic when the file does not exist. */
static struct toml_value *load_toml(const char *path, struct diagnostics *diagnostics)
{
    size_t length = 0;
    if (is_absent(path)) {
        return NULL;
    }
    g_autofree char *bytes = read_text(path, true, &length, diagnostics);
    return bytes ? parse_toml(path, bytes, length, diagnostics) : NULL;
}

/* [defaults]: every key of a section but `path`. */
static void read_defaults_table(const struct toml_value *table, const char *file,
                                struct repo_config *defaults, struct diagnostics *diagnostics)
{
    g_autofree struct toml_value **others =
        g_new(struct toml_value *, table->as.children.count + 1);
    struct toml_value rest = {.type = TOML_TABLE, .as.children.items = others};
    const struct toml_value *path = toml_find(table, "path");
    for (size_t i = 0; i < table->as.children.count; i++) {
        if (table->as.children.items[i] != path) {
            others[rest.as.children.count++] = table->as.children.items[i];
        }
    }
    if (path) {
        diagnostics_add(diagnostics, file, path->key_line, path->key_column,
                        "\"path\" belongs into a section of Repo.toml, it can't be a default");
    }
    schema_read(repo_default_keys, &rest, file, defaults, diagnostics);
    repo_section_check_one_place(table, file, diagnostics);
}

/* The defaults for sections: built in, then the top of config.toml, then its [defaults]. */
static void read_defaults(const struct toml_value *root, const char *file,
                          struct repo_config *defaults, struct diagnostics *diagnostics)
{
    struct toml_value *picked[G_N_ELEMENTS(top_level_defaults)];
    struct toml_value top = {.type = TOML_TABLE, .as.children.items = picked};
    for (unsigned i = 0; i < G_N_ELEMENTS(top_level_defaults); i++) {
        const struct toml_value *value = toml_find(root, top_level_defaults[i]);
        if (value) {
            picked[top.as.children.count++] = (struct toml_value *)value;
        }
    }
    schema_read(repo_default_keys, &top, file, defaults, diagnostics);
    const struct toml_value *table = toml_find(root, "defaults");
    if (table && table->type == TOML_TABLE) {
        read_defaults_table(table, file, defaults, diagnostics);
    } else if (table) {
        diagnostics_add(diagnostics, file, table->line, table->column,
                        "\"defaults\" must be a table, found %s", toml_type_name(table->type));
    }
}

static void read_config_toml(const struct toml_value *root, const char *path, struct config *config,
                             struct repo_config *defaults, struct diagnostics *diagnostics)
{
    schema_read(runner_keys, root, path, config, diagnostics);
    read_defaults(root, path, defaults, diagnostics);
}

/* Something at the top of Repo.toml that is no section. */
static void report_no_section(const struct toml_value *value, const char *path,
                              struct diagnostics *diagnostics)
{
    bool is_table_array = value->type == TOML_ARRAY && value->as.children.count > 0 &&
                          value->as.children.items[0]->type == TOML_TABLE;
    if (is_table_array) {
        diagnostics_add(diagnostics, path, value->key_line, value->key_column,
                        "\"%s\" is an array of tables; write a section with single brackets, [%s]",
                        value->key, value->key);
    } else {
        diagnostics_add(
            diagnostics, path, value->key_line, value->key_column,
            "\"%s\" stands outside of a section; put it below a header such as [my-app]",
            value->key);
    }
}

static void read_repo_toml(const struct toml_value *root, const char *path, struct config *config,
                           const struct repo_config *defaults, struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < root->as.children.count; i++) {
        const struct toml_value *section = root->as.children.items[i];
        if (section->type != TOML_TABLE) {
            report_no_section(section, path, diagnostics);
            continue;
        }
        struct repo_config *repo = repo_section_read(section, defaults, path, diagnostics);
        if (repo) {
            g_ptr_array_add(config->repos, repo);
        }
    }
}

static void free_repo(void *repo)
{
    repo_config_free(repo);
}

static struct config *config_new(void)
{
    struct config *config = g_new0(struct config, 1);
    config->repos = g_ptr_array_new_with_free_func(free_repo);
    config->max_jobs = g_get_num_processors();
    config->max_looks = 16;
    config->max_looks_per_host = 16;
    config->look_timeout_ms = 30 * 1000;
    config->drain_timeout_ms = 5 * 1000;
    config->keep_jobs_for_ms = 90 * DAY_MS;
    config->keep_jobs = 1000;
    config->keep_bytes = 10 * GIB;
    config->keep_cache_for_ms = 7 * DAY_MS;
    config->min_free_bytes = DISK_MIN_FREE_DEFAULT;
    return config;
}

void config_free(struct config *config)
{
    if (config) {
        g_ptr_array_unref(config->repos);
        g_free(config);
    }
}

static void read_both(const char *config_toml, const char *repo_toml, struct config *config,
                      struct diagnostics *diagnostics)
{
    struct repo_config *defaults = repo_section_new();
    struct toml_value *runner = load_toml(config_toml, diagnostics);
    if (runner) {
        read_config_toml(runner, config_toml, config, defaults, diagnostics);
    }
    struct toml_value *repos = load_toml(repo_toml, diagnostics);
    if (repos) {
        read_repo_toml(repos, repo_toml, config, defaults, diagnostics);
    }
    toml_free(runner);
    toml_free(repos);
    repo_config_free(defaults);
}

struct config *config_load(const char *config_directory, struct diagnostics *diagnostics)
{
    g_autofree char *config_toml = g_build_filename(config_directory, "config.toml", NULL);
    g_autofree char *repo_toml = g_build_filename(config_directory, "Repo.toml", NULL);
    struct config *config = config_new();
    read_both(config_toml, repo_toml, config, diagnostics);
    if (diagnostics_any(diagnostics)) {
        config_free(config);
        return NULL;
    }
    return config;
}

static bool has_name(const char *path, const char *name)
{
    g_autofree char *own = g_path_get_basename(path);
    return strcmp(own, name) == 0;
}

void config_check_text(const char *path, const char *bytes, size_t length,
                       struct diagnostics *diagnostics)
{
    bool is_runner = has_name(path, "config.toml");
    if (!is_runner && !has_name(path, "Repo.toml")) {
        workflow_free(workflow_parse(bytes, length, path, diagnostics));
        return;
    }
    struct toml_value *root = parse_toml(path, bytes, length, diagnostics);
    struct config *config = config_new();
    struct repo_config *defaults = repo_section_new();
    if (root && is_runner) {
        read_config_toml(root, path, config, defaults, diagnostics);
    } else if (root) {
        read_repo_toml(root, path, config, defaults, diagnostics);
    }
    toml_free(root);
    repo_config_free(defaults);
    config_free(config);
}

void config_check_file(const char *path, struct diagnostics *diagnostics)
{
    bool is_config = has_name(path, "Repo.toml") || has_name(path, "config.toml");
    size_t length = 0;
    g_autofree char *bytes = read_text(path, is_config, &length, diagnostics);
    if (bytes) {
        config_check_text(path, bytes, length, diagnostics);
    }
}

const struct repo_config *config_find_repo(const struct config *config, const char *name)
{
    for (unsigned i = 0; i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        if (strcmp(repo->name, name) == 0) {
            return repo;
        }
    }
    return NULL;
}

char **config_secret_files(const struct config *config)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *files = g_ptr_array_new();
    for (unsigned i = 0; i < config->repos->len; i++) {
        const struct repo_config *repo = g_ptr_array_index(config->repos, i);
        if (repo->ssh_key_path && g_hash_table_add(seen, repo->ssh_key_path)) {
            g_ptr_array_add(files, g_strdup(repo->ssh_key_path));
        }
        for (char **file = repo->env_file; *file; file++) {
            if (**file == '/' && g_hash_table_add(seen, *file)) {
                g_ptr_array_add(files, g_strdup(*file));
            }
        }
    }
    g_ptr_array_add(files, NULL);
    return (char **)g_ptr_array_free(files, FALSE);
}

const char *config_nearest_repo(const struct config *config, const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (unsigned i = 0; i < config->repos->len; i++) {
        g_ptr_array_add(names,
                        ((const struct repo_config *)g_ptr_array_index(config->repos, i))->name);
    }
    g_ptr_array_add(names, NULL);
    return text_nearest(name, (const char *const *)names->pdata);
}

static bool matches_any(char *const *patterns, const char *branch)
{
    for (; *patterns; patterns++) {
        if (strcmp(*patterns, branch) == 0 ||
            (text_is_glob(*patterns) && text_glob_match(*patterns, branch))) {
            return true;
        }
    }
    return false;
}

bool repo_config_wants_branch(const struct repo_config *repo, const char *branch)
{
    bool targeted = !repo->target_branches[0] || matches_any(repo->target_branches, branch);
    return targeted && !matches_any(repo->branch_exclusions, branch);
}

bool repo_config_has_named_branches(const struct repo_config *repo)
{
    for (char **target = repo->target_branches; *target; target++) {
        if (text_is_glob(*target)) {
            return false;
        }
    }
    return repo->target_branches[0] != NULL;
}

char *repo_config_selection(const struct repo_config *repo)
{
    /* A newline stands in none of them. */
    g_autofree char *targets = g_strjoinv("\n", repo->target_branches);
    g_autofree char *exclusions = g_strjoinv("\n", repo->branch_exclusions);
    return g_strdup_printf("%s\n\n%s\n\n%s", repo->url, targets, exclusions);
}

bool repo_config_wants_tag(const struct repo_config *repo, const char *tag)
{
    return matches_any(repo->target_tags, tag);
}

char *repo_config_tag_selection(const struct repo_config *repo)
{
    g_autofree char *targets = g_strjoinv("\n", repo->target_tags);
    return repo->target_tags[0] ? g_strdup_printf("%s\n\n%s", repo->url, targets) : NULL;
}
