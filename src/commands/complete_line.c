#include <string.h>

#include "commands/complete.h"

/* ------------------------------------------------- what belongs where */

/* The words of a command that are no options. A test holds this against the usage lines. */
static const struct {
    const char *command;
    enum completion_kind kinds[COMPLETION_KINDS];
    unsigned most;
} command_words[] = {
    {"add", {COMPLETION_DIRECTORIES}, 1}, /* a URL may be a path; its branches are not known yet */
    {"remove", {COMPLETION_REPOS}, 1},
    {"repo", {COMPLETION_REPOS}, 1},
    {"jobs", {COMPLETION_REPOS, COMPLETION_BRANCHES}, 1},
    {"job", {COMPLETION_JOBS}, 1},
    {"logs", {COMPLETION_JOBS, COMPLETION_REPOS}, 1},
    {"run", {COMPLETION_REPOS}, 1},
    {"sandbox", {COMPLETION_REPOS}, 1},
    {"retry", {COMPLETION_JOBS_FINISHED}, 1},
    {"approve", {COMPLETION_JOBS_BLOCKED}, 1},
    {"cancel", {COMPLETION_JOBS_ACTIVE}, 1},
    {"poll", {COMPLETION_REPOS}, 1},
    {"why", {COMPLETION_REPOS}, 1},
    {"pause", {COMPLETION_REPOS}, 1},
    {"resume", {COMPLETION_REPOS}, 1},
    {"notify retry", {COMPLETION_MESSAGES}, G_MAXUINT},
    {"notify test", {COMPLETION_TARGETS}, 1},
    {"check", {COMPLETION_FILES}, G_MAXUINT},
    {"doctor", {COMPLETION_REPOS}, G_MAXUINT},
    {"backup", {COMPLETION_FILES}, 1},
    {"restore", {COMPLETION_FILES}, 1},
    {"import-original", {COMPLETION_DIRECTORIES}, 1},
};

/* The values of options. A test holds this against the options of all commands. */
static const struct {
    const char *command; /* NULL = of any other */
    const char *option;
    enum completion_kind kind;
} option_values[] = {
    {NULL, "branch", COMPLETION_BRANCHES},
    {NULL, "cache-dir", COMPLETION_DIRECTORIES},
    {NULL, "config-dir", COMPLETION_DIRECTORIES},
    {NULL, "env-file", COMPLETION_FILES},
    {NULL, "format", COMPLETION_FORMATS},
    {NULL, "limit", COMPLETION_NOTHING},
    {NULL, "name", COMPLETION_NOTHING},
    {NULL, "ready-fd", COMPLETION_NOTHING},
    {NULL, "repo", COMPLETION_REPOS},
    {NULL, "sandbox", COMPLETION_LEVELS},
    {NULL, "sha", COMPLETION_NOTHING},
    {NULL, "ssh-key", COMPLETION_FILES},
    {NULL, "stale", COMPLETION_NOTHING},
    {"notify list", "state", COMPLETION_MESSAGE_STATES},
    {NULL, "state", COMPLETION_STATES},
    {NULL, "state-dir", COMPLETION_DIRECTORIES},
    {NULL, "step", COMPLETION_NOTHING},
    {NULL, "tag", COMPLETION_TAGS},
    {NULL, "timeout", COMPLETION_NOTHING},
    {NULL, "user", COMPLETION_NOTHING},
    {NULL, "workflow-file", COMPLETION_FILES},
};

const enum completion_kind *completion_find_words(const char *command, unsigned *most)
{
    for (size_t i = 0; i < G_N_ELEMENTS(command_words); i++) {
        if (strcmp(command_words[i].command, command) == 0) {
            *most = command_words[i].most;
            return command_words[i].kinds;
        }
    }
    return NULL;
}

bool completion_find_value(const char *command, const char *option, enum completion_kind *kind)
{
    for (size_t i = 0; i < G_N_ELEMENTS(option_values); i++) {
        if (strcmp(option_values[i].option, option) == 0 &&
            (!option_values[i].command || strcmp(option_values[i].command, command) == 0)) {
            *kind = option_values[i].kind;
            return true;
        }
    }
    return false;
}

/* -------------------------------------------------- what a command takes */

static void add_option(const GOptionEntry *entry, void *data)
{
    struct completion *completion = data;
    struct completion_option option = {.entry = *entry};
    option.entry.arg_data = NULL;
    g_array_append_val(completion->options, option);
}

static void add_subcommand(const struct command *sub, void *data)
{
    struct completion *completion = data;
    g_ptr_array_add(completion->subcommands, (void *)sub);
}

static void init(struct completion *completion)
{
    *completion = (struct completion){
        .options = g_array_new(FALSE, FALSE, sizeof(struct completion_option)),
        .subcommands = g_ptr_array_new(),
    };
}

static void describe(struct completion *completion, const struct command *command)
{
    const struct command_visitor visitor = {add_option, add_subcommand, completion};
    g_array_set_size(completion->options, 0);
    g_ptr_array_set_size(completion->subcommands, 0);
    command_visit(command, &visitor);
}

void completion_describe(struct completion *completion, const struct command *command)
{
    init(completion);
    describe(completion, command);
}

void completion_clear(struct completion *completion)
{
    g_array_unref(completion->options);
    g_ptr_array_unref(completion->subcommands);
    g_free(completion->prefix);
}

/* ----------------------------------------------------------- reading the line */

struct line {
    struct completion *completion;
    const char *command;                     /* "notify list"; "" = the daemon, or not yet */
    const struct completion_option *waiting; /* the option whose value comes next, or NULL */
    bool options_are_over;                   /* behind "--" */
    unsigned words;                          /* that are no options */
};

static bool takes_value(const struct completion_option *option)
{
    return option->entry.arg != G_OPTION_ARG_NONE;
}

static struct completion_option *option_at(const struct line *line, unsigned i)
{
    return &g_array_index(line->completion->options, struct completion_option, i);
}

static struct completion_option *find_long(const struct line *line, const char *name, size_t length)
{
    for (unsigned i = 0; i < line->completion->options->len; i++) {
        struct completion_option *option = option_at(line, i);
        if (strlen(option->entry.long_name) == length &&
            strncmp(option->entry.long_name, name, length) == 0) {
            return option;
        }
    }
    return NULL;
}

static struct completion_option *find_short(const struct line *line, char name)
{
    for (unsigned i = 0; i < line->completion->options->len; i++) {
        if (option_at(line, i)->entry.short_name == name) {
            return option_at(line, i);
        }
    }
    return NULL;
}

static void take_value(const struct line *line, const struct completion_option *option,
                       const char *value)
{
    const struct {
        const char *name;
        const char **place;
    } wanted[] = {
        {"repo", &line->completion->repo},
        {"config-dir", &line->completion->config_dir},
        {"state-dir", &line->completion->state_dir},
        {"cache-dir", &line->completion->cache_dir},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
        if (strcmp(option->entry.long_name, wanted[i].name) == 0) {
            *wanted[i].place = value;
        }
    }
}

static void take_long(struct line *line, const char *word)
{
    const char *name = word + 2;
    size_t length = strcspn(name, "=");
    struct completion_option *option = find_long(line, name, length);
    if (!option) {
        return;
    }
    option->is_given = true;
    if (takes_value(option) && name[length]) {
        take_value(line, option, name + length + 1);
    } else if (takes_value(option)) {
        line->waiting = option;
    }
}

/* "-fn": each letter is an option, and as GLib reads it the value is always the next word. */
static void take_short(struct line *line, const char *word)
{
    for (const char *letter = word + 1; *letter; letter++) {
        struct completion_option *option = find_short(line, *letter);
        if (option) {
            option->is_given = true;
            line->waiting = takes_value(option) ? option : line->waiting;
        }
    }
}

static void take_word(struct line *line, const char *word)
{
    if (line->waiting) {
        take_value(line, line->waiting, word);
        line->waiting = NULL;
    } else if (!line->options_are_over && strcmp(word, "--") == 0) {
        line->options_are_over = true;
    } else if (!line->options_are_over && g_str_has_prefix(word, "--")) {
        take_long(line, word);
    } else if (!line->options_are_over && word[0] == '-' && word[1]) {
        take_short(line, word);
    } else {
        const enum completion_kind *kinds = NULL;
        unsigned most = 0;
        kinds = completion_find_words(line->command, &most);
        if (line->words == 0 && kinds && kinds[0] == COMPLETION_REPOS) {
            line->completion->repo = word;
        }
        line->words++;
    }
}

/* --------------------------------------------------------- what is at its end */

static enum completion_kind value_kind(const struct line *line,
                                       const struct completion_option *option)
{
    enum completion_kind kind = COMPLETION_NOTHING;
    completion_find_value(line->command, option->entry.long_name, &kind);
    return kind;
}

/* "--state=": the value stands in the same word. False when there is no such option. */
static bool find_joined_value(const struct line *line, const char *word)
{
    const char *equals = strchr(word, '=');
    const struct completion_option *option =
        g_str_has_prefix(word, "--") && equals
            ? find_long(line, word + 2, (size_t)(equals - word - 2))
            : NULL;
    if (!option || !takes_value(option)) {
        return false;
    }
    line->completion->kinds[0] = value_kind(line, option);
    line->completion->prefix = g_strndup(word, (size_t)(equals - word) + 1);
    return true;
}

static void find_kinds(const struct line *line, const char *word)
{
    enum completion_kind *kinds = line->completion->kinds;
    unsigned most = 0;
    const enum completion_kind *words = completion_find_words(line->command, &most);
    if (line->waiting) {
        kinds[0] = value_kind(line, line->waiting);
    } else if (!line->options_are_over && find_joined_value(line, word)) {
        return;
    } else if (!line->options_are_over && word[0] == '-') {
        kinds[0] = COMPLETION_OPTIONS;
    } else if (line->completion->subcommands->len > 0) {
        kinds[0] = COMPLETION_SUBCOMMANDS;
    } else if (!*line->command) {
        kinds[0] = COMPLETION_COMMANDS;
    } else if (words && line->words < most) {
        memcpy(kinds, words, sizeof(*kinds) * COMPLETION_KINDS);
    } else if (!line->options_are_over && !words) {
        kinds[0] = COMPLETION_OPTIONS;
    }
}

static void remove_word(GPtrArray *argv, int position)
{
    g_ptr_array_remove_index(argv, (unsigned)position);
}

/* The command that the line names, found as the program itself finds it; its words are taken out of
 * `argv`. NULL when there is no such command. */
static const struct command *find_command(struct completion *completion, GPtrArray *argv)
{
    const struct command *command = &command_without_name;
    int position = command_find_word((int)argv->len, (char **)argv->pdata);
    if (position > 0) {
        command = command_find(g_ptr_array_index(argv, (unsigned)position));
        remove_word(argv, position);
    }
    if (!command) {
        return NULL;
    }
    describe(completion, command);
    position = command_find_word((int)argv->len, (char **)argv->pdata);
    if (completion->subcommands->len == 0 || position == 0) {
        return command;
    }
    const char *word = g_ptr_array_index(argv, (unsigned)position);
    for (unsigned i = 0; i < completion->subcommands->len; i++) {
        const struct command *sub = g_ptr_array_index(completion->subcommands, i);
        if (strcmp(strchr(sub->name, ' ') + 1, word) == 0) {
            remove_word(argv, position);
            describe(completion, sub);
            return sub;
        }
    }
    return NULL;
}

void completion_find(struct completion *completion, char *const *words, size_t count)
{
    init(completion);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, (void *)"phantom_ci");
    for (size_t i = 0; i + 1 < count; i++) {
        g_ptr_array_add(argv, words[i]);
    }
    const char *current = count > 0 ? words[count - 1] : "";
    if (argv->len == 2 && strcmp(words[0], "help") == 0) {
        completion->kinds[0] = COMPLETION_COMMANDS;
        return;
    }
    const struct command *command = find_command(completion, argv);
    if (!command) {
        return;
    }
    struct line line = {.completion = completion, .command = command->name};
    for (unsigned i = 1; i < argv->len; i++) {
        take_word(&line, g_ptr_array_index(argv, i));
    }
    find_kinds(&line, current);
}
