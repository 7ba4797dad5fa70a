#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mounts.h"

static const char table[] =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "30 27 0:30 / /net/home rw shared:2 master:1 - nfs4 server:/home rw,addr=10.0.0.1\n"
    "31 27 0:31 / /mnt/a\\040b\\134c rw - fuse.sshfs host: rw\n"
    "32 27 0:32 / /mnt/usb rw - fuseblk /dev/sda1 rw\n"
    "33 27 0:33 / /auto rw - autofs systemd-1 rw\n"
    "34 27 0:34 / /srv rw - xfs /dev/vdb rw\n"
    "35 27 0:35 / /broken rw - \n"
    "36 27 0:36 / /short\n"
    "\n";

static void test_parse(void)
{
    g_autoptr(GHashTable) found = mounts_parse(table);
    g_assert_cmpuint(g_hash_table_size(found), ==, 3);
    g_assert_true(g_hash_table_contains(found, "/net/home"));
    g_assert_true(g_hash_table_contains(found, "/mnt/a b\\c"));
    g_assert_true(g_hash_table_contains(found, "/auto"));
    /* on which everything is, this program as well */
    g_autoptr(GHashTable) root = mounts_parse("1 1 0:1 / / rw - fuse.fuse-overlayfs x rw\n");
    g_assert_cmpuint(g_hash_table_size(root), ==, 0);
}

static void test_plain(void)
{
    g_autoptr(GHashTable) found = mounts_parse(table);
    g_assert_true(mounts_lead_to(found, "/net/home/me/app.git"));
    g_assert_true(mounts_lead_to(found, "/net/home"));
    g_assert_true(mounts_lead_to(found, "//net/./home/../home/x"));
    g_assert_true(mounts_lead_to(found, "/auto/x"));
    g_assert_false(mounts_lead_to(found, "/net/homely"));
    g_assert_false(mounts_lead_to(found, "/net"));
    g_assert_false(mounts_lead_to(found, "/srv/git/app.git"));
    g_assert_false(mounts_lead_to(found, "/"));
    g_assert_false(mounts_lead_to(found, ""));
    g_assert_false(mounts_lead_to(found, "/../.."));
}

static void add(const char *directory, const char *name, const char *target)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_assert_cmpint(symlink(target, path), ==, 0);
}

static bool leads(GHashTable *found, const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    return mounts_lead_to(found, path);
}

static void test_links(void)
{
    GError *error = NULL;
    g_autofree char *made = g_dir_make_tmp("phantom_ci-mounts-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *directory = realpath(made, NULL);
    g_autofree char *below = g_build_filename(directory, "below", NULL);
    g_autofree char *mounted = g_build_filename(directory, "mounted", NULL);
    g_autoptr(GHashTable) found = mounts_parse(table);
    g_hash_table_add(found, g_strdup(mounted));
    g_assert_cmpint(g_mkdir(below, 0700), ==, 0);
    add(directory, "absolute", "/net/home/me");
    add(directory, "relative", "below/up");
    add(below, "up", "../mounted");
    add(below, "plain", "../other");
    add(directory, "self", "self");
    add(directory, "local", "below");
    g_assert_true(leads(found, directory, "mounted/x"));
    g_assert_true(leads(found, directory, "absolute/app.git"));
    g_assert_true(leads(found, directory, "relative"));
    g_assert_true(leads(found, directory, "local/up/x"));
    g_assert_true(leads(found, directory, "local/../mounted"));
    g_assert_false(leads(found, directory, "below/plain/x"));
    g_assert_false(leads(found, directory, "local/x"));
    g_assert_false(leads(found, directory, "self/x"));
    g_assert_false(leads(found, directory, "none/mounted"));
    g_assert_false(mounts_path_is_remote(below));
    g_assert_true(file_remove_tree_at_path(made, &error));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mounts/table__of_the_kernel__is_read", test_parse);
    g_test_add_func("/mounts/path__over_a_mount_point__leads_there", test_plain);
    g_test_add_func("/mounts/path__through_links__leads_there", test_links);
    return g_test_run();
}
