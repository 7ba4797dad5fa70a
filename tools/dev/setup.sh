# ./dev setup: which packages are needed, by package manager, and their installation.
# shellcheck shell=bash

help_setup() {
    cat <<'EOF'
usage: ./dev setup [--for build|test] [--dry-run]

Finds out which packages are missing, says so, and installs just those with apt-get, dnf, pacman, apk
or brew. sudo is used only when this is not root and something is missing.

  --for build   only what building and `./dev demo` need
  --for test    also what `./dev test`, lint and fuzz need (default)
  --dry-run     only say what is missing; exit 1 if anything is
EOF
}

package_manager() {
    local manager
    for manager in apt-get dnf pacman apk brew; do
        if has "$manager"; then
            printf '%s\n' "$manager"
            return 0
        fi
    done
    return 1
}

packages_build() {
    case $1 in
    apt-get)
        echo gcc g++ make libc6-dev meson ninja-build pkg-config libglib2.0-dev libsqlite3-dev \
            libjansson-dev libtomlplusplus-dev libcurl4-openssl-dev libseccomp-dev git openssh-client \
            ca-certificates bubblewrap
        ;;
    dnf)
        echo gcc gcc-c++ make meson ninja-build pkgconf-pkg-config glib2-devel sqlite-devel \
            jansson-devel tomlplusplus-devel libcurl-devel libseccomp-devel git-core openssh-clients \
            bubblewrap
        ;;
    pacman) echo gcc make meson ninja pkgconf glib2 sqlite jansson tomlplusplus curl libseccomp git openssh \
        bubblewrap ;;
    apk)
        echo gcc g++ make musl-dev meson samurai pkgconf glib-dev sqlite-dev jansson-dev \
            tomlplusplus-dev curl-dev libseccomp-dev linux-headers git openssh-client-default bubblewrap
        ;;
    brew) echo meson ninja pkgconf glib sqlite jansson tomlplusplus curl git ;;
    esac
}

packages_test() {
    case $1 in
    apt-get)
        echo clang clang-format clang-tidy cppcheck shellcheck python3 python3-pytest \
            python3-pytest-xdist python3-yaml openssh-server nginx-light fcgiwrap libnginx-mod-http-echo strace \
            procps sqlite3 openssl systemd systemd-container dbus util-linux passwd mandoc bash zsh fish \
            gitolite3 iproute2 nftables gnupg
        # libFuzzer and clang's sanitizers: a package of its own since clang 14.
        if apt-cache show libclang-rt-dev >/dev/null 2>&1; then
            echo libclang-rt-dev
        fi
        ;;
    dnf)
        echo clang clang-tools-extra compiler-rt libasan libubsan cppcheck ShellCheck python3 \
            python3-pytest python3-pytest-xdist python3-pyyaml openssh-server nginx fcgiwrap strace procps-ng \
            sqlite openssl systemd systemd-container mandoc zsh fish git-daemon gitolite3 iproute \
            nftables gnupg2
        ;;
    pacman)
        echo clang compiler-rt cppcheck shellcheck python python-pytest python-pytest-xdist python-yaml openssh \
            nginx fcgiwrap strace procps-ng gitolite iproute2 nftables gnupg
        ;;
    apk)
        echo clang clang-extra-tools compiler-rt cppcheck shellcheck python3 py3-pytest \
            py3-pytest-xdist py3-yaml openssh-server nginx fcgiwrap strace procps git-daemon gitolite iproute2 \
            nftables gnupg
        ;;
    brew) echo llvm clang-format cppcheck shellcheck python pytest pyyaml nginx fcgiwrap gnupg ;;
    esac
}

package_installed() {
    case $1 in
    apt-get) [ "$(dpkg-query -W -f='${db:Status-Status}' "$2" 2>/dev/null)" = installed ] ;;
    dnf) rpm -q --whatprovides "$2" >/dev/null 2>&1 ;;
    pacman) pacman -T "$2" >/dev/null 2>&1 ;;
    apk) apk info -e "$2" >/dev/null 2>&1 ;;
    brew) brew list --versions "$2" >/dev/null 2>&1 ;;
    esac
}

missing_packages() {
    local manager=$1 package
    shift
    for package; do
        package_installed "$manager" "$package" || printf '%s ' "$package"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        say "sudo $*"
        sudo "$@"
    else
        die "not root and no sudo here; run this as root: $*"
    fi
}

# The lists of packages may be old or absent. One broken source must not be in the way of the others.
refresh_lists() {
    [ "$1" = apt-get ] || return 0
    as_root apt-get -o DPkg::Lock::Timeout=300 update ||
        warn "apt-get update had trouble; going on with the lists that are there"
}

install_apt() {
    local service new_services=''
    # The tests start servers of their own; the system-wide ones are not wanted.
    for service in ssh nginx fcgiwrap; do
        [ -e "/lib/systemd/system/$service.service" ] || new_services="$new_services $service"
    done
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y \
        --no-install-recommends "$@" || return 1
    [ -d /run/systemd/system ] || return 0
    for service in $new_services; do
        if [ -e "/lib/systemd/system/$service.service" ]; then
            say "$service came with the packages; switching its system service off"
            as_root systemctl disable --now "$service" || true
        fi
    done
}

install_packages() {
    local manager=$1
    shift
    case $manager in
    apt-get) install_apt "$@" ;;
    dnf) as_root dnf install -y "$@" ;;
    pacman) as_root pacman -Sy --needed --noconfirm "$@" ;;
    apk) as_root apk add "$@" ;;
    brew) brew install "$@" ;;
    esac
}

# What is missing for build|test, in one line.
missing_for() {
    local manager=$1 wanted
    wanted=$(packages_build "$manager")
    [ "$2" = test ] && wanted="$wanted $(packages_test "$manager")"
    # shellcheck disable=SC2086
    missing_packages "$manager" $wanted
}

# setup_for build|test: quiet when nothing is missing.
setup_for() {
    local manager missing
    if ! manager=$(package_manager); then
        warn "no known package manager here (apt-get, dnf, pacman, apk, brew); going on with what is installed"
        return 0
    fi
    missing=$(missing_for "$manager" "$1")
    [ -z "$missing" ] && return 0
    say "missing packages: $missing"
    refresh_lists "$manager"
    missing=$(missing_for "$manager" "$1") # which names exist is known only now
    say "installing with $manager: $missing"
    # shellcheck disable=SC2086
    install_packages "$manager" $missing || die "could not install: $missing"
    if [ "$1" = test ] && [ "$manager" = brew ] && ! find_python 'pytest, xdist' >/dev/null; then
        warn "pytest-xdist has no formula: python3 -m pip install --user pytest pytest-xdist"
    fi
}

run_setup() {
    local scope=test dry=no manager missing
    while [ $# -gt 0 ]; do
        case $1 in
        --for)
            scope=${2:-}
            shift
            ;;
        --for=*) scope=${1#--for=} ;;
        --dry-run) dry=yes ;;
        *) usage_error "setup: unknown argument \"$1\" (see ./dev setup --help)" ;;
        esac
        shift
    done
    case $scope in
    build | test) ;;
    *) usage_error "setup: --for build or --for test" ;;
    esac
    if [ $dry = yes ]; then
        manager=$(package_manager) || die "no known package manager here"
        missing=$(missing_for "$manager" "$scope")
        [ -z "$missing" ] && {
            say "nothing is missing ($manager)"
            return 0
        }
        say "missing ($manager): $missing"
        return 1
    fi
    setup_for "$scope"
    say "everything needed is installed"
}
