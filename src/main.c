/* phantom_ci: the command line, and without a command the supervisor. See commands/ and daemon/. */
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "commands/commands.h"
#include "git/url.h"
#include "poll/cron.h"

static bool check_url(const char *text, GError **error)
{
    struct url url;
    bool good = url_parse(text, &url, error);
    if (good) {
        url_clear(&url);
    }
    return good;
}

static bool check_schedule(const char *text, GError **error)
{
    struct cron cron;
    return cron_parse(text, &cron, error);
}

static int unknown_command(const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const struct command *command = commands; command->name; command++) {
        g_ptr_array_add(names, (void *)command->name);
    }
    g_ptr_array_add(names, NULL);
    g_autofree char *escaped = text_escape(name);
    const char *nearest = text_nearest(name, (const char *const *)names->pdata);
    return command_fail_text(EXIT_CODE_USAGE, "unknown command \"%s\"%s%s%s", escaped,
                             nearest ? "; did you mean \"" : " (see: phantom_ci help)",
                             nearest ? nearest : "", nearest ? "\"?" : "");
}

static int help(const char *name)
{
    if (!name) {
        command_print_overview();
        return EXIT_CODE_OK;
    }
    const struct command *command = command_find(name);
    char *arguments[] = {(char *)name, (char *)"--help", NULL};
    return command ? command->run(command, 2, arguments) : unknown_command(name);
}

/*
 * For the words of the command line, which GLib takes for text in the encoding of the locale; the
 * daemon does without the memory that a locale takes. The locale "C", which cron has, knows ASCII
 * alone: names of branches are UTF-8 there, too (as Python does, PEP 538).
 */
static void use_locale(void)
{
    const char *set = setlocale(LC_ALL, "");
    const char *codeset = nl_langinfo(CODESET);
    bool is_ascii = strcmp(codeset, "ANSI_X3.4-1968") == 0 || strcmp(codeset, "US-ASCII") == 0;
    if (!set || is_ascii) {
        (void)(setlocale(LC_CTYPE, "C.UTF-8") || setlocale(LC_CTYPE, "UTF-8"));
    }
}

static int dispatch(int argc, char **argv)
{
    int word = command_find_word(argc, argv);
    const char *last = argv[argc - 1];
    if (word == 0 && argc > 1 && strcmp(last, "--version") == 0) {
        const struct command *version = command_find("version");
        return version->run(version, 1, argv);
    }
    if (word == 0 && argc > 1 && (strcmp(last, "--help") == 0 || strcmp(last, "-h") == 0)) {
        command_print_overview();
        return EXIT_CODE_OK;
    }
    if (word == 0) {
        return command_without_name.run(&command_without_name, argc, argv);
    }
    use_locale();
    if (strcmp(argv[word], "help") == 0) {
        return help(word + 1 < argc ? argv[word + 1] : NULL);
    }
    const struct command *command = command_find(argv[word]);
    if (!command) {
        return unknown_command(argv[word]);
    }
    memmove(&argv[word], &argv[word + 1], (size_t)(argc - word) * sizeof(*argv));
    return command->run(command, argc - 1, argv);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    config_set_checks(&(struct config_checks){
        .url = check_url, .ref_name = url_branch_name_is_valid, .schedule = check_schedule});
    return dispatch(argc, argv);
}
