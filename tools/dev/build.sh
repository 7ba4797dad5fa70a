# ./dev build, and the build directories that the other commands use.
# shellcheck shell=bash

help_build() {
    cat <<'EOF'
usage: ./dev build [--gcc|--release|--clang|--asan|--fuzz]

Sets up, then builds into build/<kind>:

  --gcc      developer build with gcc: every warning is an error, injected faults (default)
  --release  optimized and hardened, warnings are only warnings
  --clang    developer build with clang
  --asan     developer build with gcc, AddressSanitizer and UndefinedBehaviorSanitizer
  --fuzz     the fuzzers of tests/fuzz with clang's libFuzzer

The executables are phantom_ci and its helpers phantom_ci-job, -net, -ssh and -credential in build/<kind>/src. To install a release build:
`meson install -C build/release`.
EOF
}

# configure KIND: makes build/KIND, or makes it again when Meson can't read it any more.
configure() {
    local kind=$1 directory=$ROOT/build/$1 c=cc cxx=c++ options=''
    case $kind in
    gcc | asan)
        has gcc && c=gcc cxx=g++
        options='-Ddeveloper=true -Dfaults=true --werror'
        ;;
    clang)
        c=clang cxx=clang++
        options='-Ddeveloper=true -Dfaults=true --werror'
        ;;
    fuzz)
        c=clang cxx=clang++
        options='-Dfuzzers=true -Dfaults=true -Db_sanitize=address,undefined -Db_lundef=false'
        ;;
    release) options='--buildtype=release' ;;
    esac
    [ "$kind" = asan ] && options="$options -Db_sanitize=address,undefined -Db_lundef=false"
    if [ "$(cat "$directory/.options" 2>/dev/null)" = "$c $options" ] &&
        [ -e "$directory/build.ninja" ]; then
        return 0
    fi
    rm -rf "$directory"
    # shellcheck disable=SC2086
    CC=${CC:-$c} CXX=${CXX:-$cxx} meson setup $options "$directory" "$ROOT" || return 1
    printf '%s\n' "$c $options" >"$directory/.options"
}

compile() {
    # A tree that another Meson configured says so here; then it is made anew, once.
    configure "$1" || return 1
    ninja -C "$ROOT/build/$1" && return 0
    meson_is_usable "$1" && return 1
    rm -rf "$ROOT/build/$1"
    configure "$1" && ninja -C "$ROOT/build/$1"
}

meson_is_usable() { meson introspect --projectinfo "$ROOT/build/$1" >/dev/null 2>&1; }

# build_kind KIND: with its output in build/logs/build-KIND.log.
build_kind() {
    local begin
    begin=$(now)
    with_lock "$1" logged "$LOGS/build-$1.log" compile "$1" || return 1
    say "built build/$1 in $(($(now) - begin)) s"
}

run_build() {
    local kind=gcc
    while [ $# -gt 0 ]; do
        case $1 in
        --gcc | --release | --clang | --asan | --fuzz) kind=${1#--} ;;
        *) usage_error "build: unknown argument \"$1\" (see ./dev build --help)" ;;
        esac
        shift
    done
    # shellcheck source=tools/dev/setup.sh
    . "$ROOT/tools/dev/setup.sh"
    case $kind in
    clang | fuzz) setup_for test ;;
    *) setup_for build ;;
    esac
    with_lock "$kind" compile "$kind"
}
