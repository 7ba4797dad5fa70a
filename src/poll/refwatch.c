#include "poll/refwatch.h"
struct refwatch *refwatch_new(GError **error)
{
    (void)error;
    return NULL;
}
void refwatch_free(struct refwatch *watch)
{
    (void)watch;
}
bool refwatch_add(struct refwatch *watch, void *owner, const char *git_directory, bool tags,
                  GError **error)
{
    (void)watch;
    (void)owner;
    (void)git_directory;
    (void)tags;
    (void)error;
    return false;
}
void refwatch_remove(struct refwatch *watch, void *owner)
{
    (void)watch;
    (void)owner;
}
int refwatch_fd(const struct refwatch *watch)
{
    (void)watch;
    return -1;
}
void refwatch_take(struct refwatch *watch, void (*changed)(void *owner, bool lost, void *data),
                   void *data)
{
    (void)watch;
    (void)changed;
    (void)data;
}
