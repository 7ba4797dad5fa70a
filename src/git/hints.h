/* What to do about well-known causes of failed looks and fetches: words that git_explain_failure()
 * puts at the end of a message, in parentheses, and git_explain_split() finds there; for others who
 * write such messages. */
#ifndef PHANTOM_CI_GIT_HINTS_H
#define PHANTOM_CI_GIT_HINTS_H

#define GIT_HINT_PRIVATE                                                                           \
    "the repository is private or does not exist; for a private one set up a credential helper "   \
    "of git, or use ssh"
#define GIT_HINT_LOGIN_REFUSED                                                                     \
    "the server refuses the stored user name and password: mend the credential helper"
#define GIT_HINT_FORBIDDEN "the account may not read this repository"
#define GIT_HINT_TOO_OFTEN "the server is asked too often: raise poll_interval"
#define GIT_HINT_CERTIFICATE                                                                       \
    "TLS: the certificate is not trusted here: install its CA, or set http.sslCAInfo in "          \
    "~/.gitconfig"
#define GIT_HINT_TLS  "TLS failed: check the address, and the clock of this machine"
#define GIT_HINT_NAME "the name of the host is not known: check the address and the network"
#define GIT_HINT_NOTHING_LISTENS                                                                   \
    "nothing listens there, or the network is down: check host and port"
#define GIT_HINT_TIMEOUT  "the host did not answer in time: check the network"
#define GIT_HINT_SLOW     "the host stopped sending"
#define GIT_HINT_PATH     "check the path in the address"
#define GIT_HINT_PROTOCOL "the server redirects to another protocol: use that address"
#define GIT_HINT_REDIRECT                                                                          \
    "the server redirects, which is not followed for submodules, nor where http.extraHeader of "   \
    "your git configuration would go along: use the new address, or set http.followRedirects"
#define GIT_HINT_FSCK                                                                              \
    "an object of it is malformed, perhaps to harm; if you know that it is old and harmless, put " \
    "its id into a file and name that: git config --global fetch.fsck.skipList"

/* What git says when its check of fetched objects (fsck) finds fault with one. */
#define GIT_SIGN_FSCK "fsck error in "

#endif
