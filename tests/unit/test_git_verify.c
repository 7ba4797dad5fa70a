/* Signatures of commits, with real keys of ssh-keygen and gpg. */
#include "git_site.h"

#include "base/text.h"
#include "git/verify.h"

struct signing {
    struct site site;
    char *directory; /* of the verifier */
    char *allowed;   /* allowed_signers */
    char *keyring;
};

static const char *const no_keys[] = {NULL};

#define SIGN_WITH "git -c gpg.format=ssh -c user.signingKey=../%s commit -q -S --allow-empty -m x"

static void signing_init(struct signing *signing)
{
    site_init(&signing->site);
    const char *root = signing->site.fixture.root;
    signing->directory = path_in(root, "keys");
    signing->allowed = path_in(root, "allowed");
    signing->keyring = path_in(root, "keyring");
    g_assert_cmpint(g_mkdir(signing->directory, 0700), ==, 0);
    g_free(sh(root, "for k in ann bob; do ssh-keygen -q -t ed25519 -N '' -C '' -f $k; done; "
                    "echo \"ann@example.org $(cat ann.pub)\" >allowed; chmod 600 allowed"));
}

static void signing_clear(struct signing *signing)
{
    g_free(signing->directory);
    g_free(signing->allowed);
    g_free(signing->keyring);
    site_clear(&signing->site);
}

/* A commit signed with one of the SSH keys; its id. */
static char *signed_by(struct signing *signing, const char *key)
{
    g_free(sh(signing->site.fixture.source, SIGN_WITH, key));
    return sh(signing->site.fixture.source, "git rev-parse HEAD");
}

static char *unsigned_commit(struct signing *signing)
{
    return commit(&signing->site.fixture, "true");
}

/* Writes a commit object by a filter over the text of `sha`, makes it the branch's tip; its id. */
static char *rewritten(struct signing *signing, const char *sha, const char *filter)
{
    return sh(
        signing->site.fixture.source,
        "new=$(git cat-file commit %s | %s | git hash-object -t commit -w --stdin); git reset "
        "-q --hard $new; echo $new",
        sha, filter);
}

static struct verifier *try_verifier(struct signing *signing, const struct verify_rules *rules,
                                     GError **error)
{
    struct fixture *fixture = &signing->site.fixture;
    g_autofree char *tip = sh(fixture->source, "git rev-parse HEAD");
    GError *failure = NULL;
    mirror_fetch(signing->site.mirror, tip, "refs/heads/main", "app/main", &signing->site.rebuilt,
                 &failure);
    g_assert_no_error(failure);
    return verifier_new(signing->site.mirror, rules, signing->directory, &limits, error);
}

static struct verify_result check_with(struct signing *signing, const struct verify_rules *rules,
                                       const char *sha, const char *const *bases)
{
    struct verify_result result;
    GError *error = NULL;
    struct verifier *verifier = try_verifier(signing, rules, &error);
    g_assert_no_error(error);
    bool told = verifier_check(verifier, sha, bases, &result, &error);
    g_assert_no_error(error);
    g_assert_true(told);
    g_assert_true(result.good == !result.reason);
    verifier_free(verifier);
    return result;
}

static struct verify_result check(struct signing *signing, const char *sha,
                                  const char *const *bases)
{
    const struct verify_rules rules = {signing->allowed, no_keys, NULL};
    return check_with(signing, &rules, sha, bases);
}

static void assert_refused(struct verify_result result, const char *part)
{
    g_assert_false(result.good);
    g_assert_null(result.signer);
    assert_contains(result.reason, part);
    verify_result_clear(&result);
}

static void assert_good(struct verify_result result, const char *signer)
{
    g_assert_cmpstr(result.reason, ==, NULL);
    g_assert_true(result.good);
    g_assert_cmpstr(result.signer, ==, signer);
    verify_result_clear(&result);
}

/* --------------------------------------------------------------------- ssh */

static void ssh__allowed_key__is_good_and_told(void)
{
    struct signing signing;
    signing_init(&signing);
    g_autofree char *sha = signed_by(&signing, "ann");
    g_autofree char *key = sh(signing.site.fixture.root, "ssh-keygen -lf ann.pub | cut -d' ' -f2");
    struct verify_result result = check(&signing, sha, NULL);
    g_assert_cmpstr(result.key, ==, key);
    assert_good(result, "ann@example.org");
    signing_clear(&signing);
}

static void ssh__not_signed_or_by_others__is_refused_in_words(void)
{
    struct signing signing;
    signing_init(&signing);
    g_autofree char *plain = unsigned_commit(&signing);
    assert_refused(check(&signing, plain, NULL), "is not signed");
    g_autofree char *other = signed_by(&signing, "bob");
    g_autofree char *key = sh(signing.site.fixture.root, "ssh-keygen -lf bob.pub | cut -d' ' -f2");
    struct verify_result result = check(&signing, other, NULL);
    assert_contains(result.reason, key);
    assert_refused(result, "which allowed_signers does not have");
    /* who a commit says it is from is nobody's business */
    g_free(sh(signing.site.fixture.source,
              "GIT_AUTHOR_NAME=ann@example.org GIT_COMMITTER_NAME=ann@example.org git commit -q "
              "--allow-empty -m 'Good \"git\" signature for ann@example.org'"));
    g_autofree char *forged = sh(signing.site.fixture.source, "git rev-parse HEAD");
    assert_refused(check(&signing, forged, NULL), "is not signed");
    signing_clear(&signing);
}

static void ssh__signature_of_another_commit__is_bad(void)
{
    struct signing signing;
    signing_init(&signing);
    g_autofree char *good = signed_by(&signing, "ann");
    g_autofree char *spliced = rewritten(&signing, good, "sed 's/^x$/y/'");
    assert_refused(check(&signing, spliced, NULL), "has a bad signature");
    g_autofree char *stripped = rewritten(&signing, good, "sed '/^gpgsig/,/END SSH/d'");
    assert_refused(check(&signing, stripped, NULL), "is not signed");
    g_autofree char *broken = rewritten(&signing, good, "sed 's/^ U1NI/ AAAA/'");
    assert_refused(check(&signing, broken, NULL), "has a bad signature");
    g_autofree char *other = rewritten(&signing, good, "sed 's/SSH SIGNATURE/SIGNED MESSAGE/'");
    assert_refused(check(&signing, other, NULL), "neither of SSH nor of GPG");
    signing_clear(&signing);
}

/* Git takes what follows for a part of the signature. */
static void ssh__second_signature_header__is_not_good(void)
{
    struct signing signing;
    signing_init(&signing);
    g_autofree char *good = signed_by(&signing, "ann");
    g_autofree char *twice = rewritten(&signing, good,
                                       "awk '/^gpgsig/ {on=1} on {hold = hold $0 \"\\n\"} {print} "
                                       "/END SSH/ {printf \"%s\", hold; on=0}'");
    g_autofree char *count =
        sh(signing.site.fixture.source, "git cat-file commit %s | grep -c ^gpgsig", twice);
    g_assert_cmpstr(count, ==, "2");
    assert_refused(check(&signing, twice, NULL), "has more than one signature");
    signing_clear(&signing);
}

static void ssh__dates_of_a_key__count_at_the_commit_and_now(void)
{
    struct signing signing;
    signing_init(&signing);
    const char *root = signing.site.fixture.root;
    g_autofree char *today = signed_by(&signing, "ann");
    g_free(sh(signing.site.fixture.source,
              "GIT_COMMITTER_DATE='2015-06-01 12:00:00 +0000' " SIGN_WITH, "ann"));
    g_autofree char *dated_back = sh(signing.site.fixture.source, "git rev-parse HEAD");
    g_free(sh(root, "echo \"ann@example.org valid-before=\\\"20160101\\\" $(cat ann.pub)\" "
                    ">allowed"));
    assert_refused(check(&signing, today, NULL), "does not allow at the commit's date");
    /* a key that was stolen after its end signs with any date it likes */
    assert_refused(check(&signing, dated_back, NULL), "at the commit's date but not now");
    g_free(sh(root, "echo \"ann@example.org valid-after=\\\"20160101\\\" $(cat ann.pub)\" "
                    ">allowed"));
    assert_good(check(&signing, today, NULL), "ann@example.org");
    assert_refused(check(&signing, dated_back, NULL), "does not allow at the commit's date");
    g_free(sh(root, "echo \"ann@example.org namespaces=\\\"file\\\" $(cat ann.pub)\" >allowed"));
    assert_refused(check(&signing, today, NULL), "or its key is not allowed for git");
    signing_clear(&signing);
}

/* ------------------------------------------------------------------- range */

static void range__unsigned_in_the_middle__is_found(void)
{
    struct signing signing;
    signing_init(&signing);
    g_autofree char *base = unsigned_commit(&signing);
    g_autofree char *first = signed_by(&signing, "ann");
    g_autofree char *middle = unsigned_commit(&signing);
    g_autofree char *tip = signed_by(&signing, "ann");
    const char *const bases[] = {base, NULL};
    const char *const later[] = {middle, NULL};
    /* not known here: no base */
    const char *const unknown[] = {"1234567890123456789012345678901234567890", NULL};
    assert_good(check(&signing, tip, NULL), "ann@example.org");
    assert_good(check(&signing, first, bases), "ann@example.org");
    assert_good(check(&signing, tip, later), "ann@example.org");
    struct verify_result result = check(&signing, tip, bases);
    assert_contains(result.reason, text_short_id(middle));
    assert_refused(result, "of the commits that come with it");
    result = check(&signing, first, unknown);
    assert_contains(result.reason, text_short_id(base));
    assert_refused(result, "is not signed");
    result = check(&signing, first, no_keys);
    assert_refused(result, "is not signed");
    signing_clear(&signing);
}

static void range__side_of_a_merge__counts(void)
{
    struct signing signing;
    signing_init(&signing);
    g_autofree char *base = signed_by(&signing, "ann");
    g_free(sh(signing.site.fixture.source, "git checkout -q -b side"));
    g_autofree char *side = unsigned_commit(&signing);
    g_free(sh(signing.site.fixture.source, "git checkout -q main"));
    g_free(signed_by(&signing, "ann"));
    g_free(sh(signing.site.fixture.source,
              "git -c gpg.format=ssh -c user.signingKey=../ann merge -q -S --no-ff -m m side"));
    g_autofree char *tip = sh(signing.site.fixture.source, "git rev-parse HEAD");
    const char *const bases[] = {base, NULL};
    const char *const with_side[] = {base, side, NULL};
    assert_good(check(&signing, tip, NULL), "ann@example.org");
    assert_good(check(&signing, tip, with_side), "ann@example.org");
    struct verify_result result = check(&signing, tip, bases);
    assert_contains(result.reason, text_short_id(side));
    assert_refused(result, "is not signed");
    /* a branch that went back brings nothing new, and its tip is verified all the same */
    const char *const ahead[] = {tip, NULL};
    assert_refused(check(&signing, side, ahead), "is not signed");
    signing_clear(&signing);
}

static void range__longer_than_the_limit__is_refused(void)
{
    struct signing signing;
    signing_init(&signing);
    g_autofree char *base = signed_by(&signing, "ann");
    g_free(sh(signing.site.fixture.source,
              "for i in $(seq %d); do printf 'commit refs/heads/main\\ncommitter A <a> %%d "
              "+0000\\ndata 1\\nx\\n' $i; [ $i != 1 ] || echo 'from %s'; done | git fast-import "
              "--quiet --force; git reset -q --hard main",
              VERIFY_MAX_COMMITS, base));
    g_autofree char *tip = signed_by(&signing, "ann");
    const char *const bases[] = {base, NULL};
    assert_refused(check(&signing, tip, bases), "more than 1000 commits come with it");
    assert_good(check(&signing, tip, NULL), "ann@example.org");
    signing_clear(&signing);
}

/* --------------------------------------------------------------------- gpg */

/* Makes the key of "NAME <NAME@example.org>" and adds it to the key ring; its fingerprint. */
static char *gpg_key(struct signing *signing, const char *name, const char *expire)
{
    const char *root = signing->site.fixture.root;
    return sh(root,
              "mkdir -p -m 700 g; export GNUPGHOME=$PWD/g; gpg --batch --quiet --passphrase '' "
              "--quick-gen-key '%s <%s@example.org>' ed25519 sign %s 2>/dev/null; gpg --export "
              ">keyring; chmod 600 keyring; gpg --list-keys --with-colons %s@ | sed -n "
              "'s/^fpr:*\\([0-9A-F]*\\):.*/\\1/p' | head -1",
              name, name, expire, name);
}

static char *signed_by_gpg(struct signing *signing, const char *name)
{
    return sh(signing->site.fixture.source,
              "export GNUPGHOME=$PWD/../g; git -c user.signingKey=%s@example.org commit -q -S "
              "--allow-empty -m x; git rev-parse HEAD",
              name);
}

static void end_gpg(struct signing *signing)
{
    g_free(sh(signing->site.fixture.root, "GNUPGHOME=$PWD/g gpgconf --kill all"));
}

static void gpg__keys__count_by_their_fingerprints(void)
{
    struct signing signing;
    signing_init(&signing);
    g_autofree char *ann = gpg_key(&signing, "ann", "never");
    g_autofree char *bob = gpg_key(&signing, "bob", "never");
    g_autofree char *by_ann = signed_by_gpg(&signing, "ann");
    g_autofree char *by_bob = signed_by_gpg(&signing, "bob");
    g_autofree char *by_ssh = signed_by(&signing, "ann");
    g_autofree char *lower = g_ascii_strdown(ann, -1);
    const char *const keys[] = {lower, NULL};
    const struct verify_rules rules = {NULL, keys, signing.keyring};
    struct verify_result result = check_with(&signing, &rules, by_ann, NULL);
    g_assert_cmpstr(result.key, ==, ann);
    assert_good(result, "ann <ann@example.org>");
    result = check_with(&signing, &rules, by_bob, NULL);
    assert_contains(result.reason, bob);
    assert_refused(result, "which allowed_gpg_keys does not name");
    assert_refused(check_with(&signing, &rules, by_ssh, NULL), "only GPG keys are allowed");
    assert_refused(check(&signing, by_ann, NULL), "only SSH keys are allowed");
    g_autofree char *spliced = rewritten(&signing, by_ann, "sed 's/^x$/y/'");
    assert_refused(check_with(&signing, &rules, spliced, NULL), "has a bad signature");
    /* the key ring may be text as well */
    g_free(sh(signing.site.fixture.root, "GNUPGHOME=$PWD/g gpg --armor --export >keyring"));
    assert_good(check_with(&signing, &rules, by_ann, NULL), "ann <ann@example.org>");
    /* either kind does when both are allowed */
    const struct verify_rules both = {signing.allowed, keys, signing.keyring};
    assert_good(check_with(&signing, &both, by_ann, NULL), "ann <ann@example.org>");
    assert_good(check_with(&signing, &both, by_ssh, NULL), "ann@example.org");
    /* a key ring without the key */
    g_free(sh(signing.site.fixture.root, "GNUPGHOME=$PWD/g gpg --export ann@ >keyring"));
    assert_refused(check_with(&signing, &rules, by_bob, NULL), "which gpg_keyring does not have");
    end_gpg(&signing);
    signing_clear(&signing);
}

static void gpg__expired_or_revoked_key__is_refused(void)
{
    struct signing signing;
    signing_init(&signing);
    const char *root = signing.site.fixture.root;
    g_autofree char *ann = gpg_key(&signing, "ann", "never");
    g_autofree char *bob = gpg_key(&signing, "bob", "never");
    g_autofree char *by_ann = signed_by_gpg(&signing, "ann");
    g_autofree char *by_bob = signed_by_gpg(&signing, "bob");
    /* both keys end after they have signed; an expiry that has passed can't be set otherwise */
    g_free(sh(root,
              "export GNUPGHOME=$PWD/g; gpg --batch --quiet --quick-set-expire %s seconds=1; sed "
              "'s/^:-----/-----/' g/openpgp-revocs.d/%s.rev | gpg --batch --quiet --import "
              "2>/dev/null; gpg --export >keyring",
              ann, bob));
    for (int i = 0; i < 600; i++) {
        g_autofree char *state = sh(root, "GNUPGHOME=$PWD/g gpg --list-keys --with-colons ann@ "
                                          "2>/dev/null | sed -n 's/^pub:\\(.\\):.*/\\1/p'");
        if (strcmp(state, "e") == 0) {
            break;
        }
        g_usleep(50000);
    }
    const char *const keys[] = {ann, bob, NULL};
    const struct verify_rules rules = {NULL, keys, signing.keyring};
    assert_refused(check_with(&signing, &rules, by_ann, NULL), "which has expired");
    assert_refused(check_with(&signing, &rules, by_bob, NULL), "which was revoked");
    end_gpg(&signing);
    signing_clear(&signing);
}

/* ------------------------------------------------------------------- files */

static void assert_no_verifier(struct signing *signing, const struct verify_rules *rules,
                               enum error_code code, const char *part)
{
    GError *error = NULL;
    g_assert_null(try_verifier(signing, rules, &error));
    assert_error_code(error, code);
    assert_contains(error->message, part);
    g_clear_error(&error);
}

static void files__that_others_may_change__are_not_believed(void)
{
    struct signing signing;
    signing_init(&signing);
    const char *root = signing.site.fixture.root;
    const struct verify_rules rules = {signing.allowed, no_keys, NULL};
    g_free(signed_by(&signing, "ann"));
    g_free(sh(root, "chmod 622 allowed"));
    assert_no_verifier(&signing, &rules, ERROR_DENIED, "may be written by others (mode 622)");
    g_free(sh(root, "chmod 600 allowed; mv allowed elsewhere; ln -s elsewhere allowed"));
    assert_no_verifier(&signing, &rules, ERROR_DENIED, "is a symbolic link");
    g_free(sh(root, "rm allowed; mkfifo -m 600 allowed"));
    assert_no_verifier(&signing, &rules, ERROR_INVALID, "is not a regular file");
    g_free(sh(root, "rm allowed"));
    assert_no_verifier(&signing, &rules, ERROR_NOT_FOUND, "allowed_signers: cannot read");
    const char *const keys[] = {"0123456789012345678901234567890123456789", NULL};
    const struct verify_rules gpg = {NULL, keys, signing.keyring};
    g_free(sh(root, "echo nonsense >keyring; chmod 600 keyring"));
    assert_no_verifier(&signing, &gpg, ERROR_INVALID, "gpg finds no keys in");
    signing_clear(&signing);
}

static void programs__not_installed__are_named(void)
{
    struct signing signing;
    signing_init(&signing);
    g_free(signed_by(&signing, "ann"));
    g_free(
        sh(signing.site.fixture.root,
           "mkdir only; ln -s \"$(command -v git)\" only/git; touch keyring; chmod 600 keyring"));
    g_autofree char *only = path_in(signing.site.fixture.root, "only");
    g_autofree char *old = g_strdup(g_getenv("PATH"));
    const char *const keys[] = {"0123456789012345678901234567890123456789", NULL};
    const struct verify_rules ssh = {signing.allowed, no_keys, NULL};
    const struct verify_rules gpg = {NULL, keys, signing.keyring};
    GError *error = NULL;
    g_setenv("PATH", only, TRUE);
    g_assert_null(verifier_new(signing.site.mirror, &ssh, signing.directory, &limits, &error));
    assert_error_code(error, ERROR_NOT_FOUND);
    assert_contains(error->message, "there is no ssh-keygen in PATH");
    g_clear_error(&error);
    g_assert_null(verifier_new(signing.site.mirror, &gpg, signing.directory, &limits, &error));
    assert_error_code(error, ERROR_NOT_FOUND);
    assert_contains(error->message, "there is no gpg in PATH");
    g_clear_error(&error);
    g_setenv("PATH", old, TRUE);
    signing_clear(&signing);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/git/verify/" #name, name)
    ADD(ssh__allowed_key__is_good_and_told);
    ADD(ssh__not_signed_or_by_others__is_refused_in_words);
    ADD(ssh__signature_of_another_commit__is_bad);
    ADD(ssh__second_signature_header__is_not_good);
    ADD(ssh__dates_of_a_key__count_at_the_commit_and_now);
    ADD(range__unsigned_in_the_middle__is_found);
    ADD(range__side_of_a_merge__counts);
    ADD(range__longer_than_the_limit__is_refused);
    ADD(gpg__keys__count_by_their_fingerprints);
    ADD(gpg__expired_or_revoked_key__is_refused);
    ADD(files__that_others_may_change__are_not_believed);
    ADD(programs__not_installed__are_named);
    return g_test_run();
}
