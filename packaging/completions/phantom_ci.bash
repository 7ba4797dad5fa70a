# Completion of phantom_ci for bash (3.2 and later; bash-completion is not needed).
#
# What may stand at the cursor is known to the program: `phantom_ci __complete -- line WORD...` says it.
# Here the line is taken apart and the answer is quoted. Names of branches and repositories come from
# elsewhere and may hold anything, $(...) too: nothing here expands or evaluates them.
# shellcheck shell=bash

# Takes the line apart as the shell will, but expands nothing. Sets, for the caller: words (without their
# quotes; the last one is at the cursor), raw (the last one as it was typed), quote (the one that is still
# open), before (what the last word is up to that quote), and operator (a redirection waits for its file).
__phantom_ci_split() {
    local line=$1 char next started='' word=''
    local -i i
    words=() raw='' quote='' before='' operator=''
    for ((i = 0; i < ${#line}; i++)); do
        char=${line:i:1} next=${line:i+1:1}
        raw+=$char
        case $quote:$char in
        \':\' | \":\") quote='' ;;
        \':*) word+=$char ;;
        \":\\)
            # Between double quotes a backslash is one, except before these.
            case $next in
            \$ | \` | \" | \\) word+=$next raw+=$next i+=1 ;;
            *) word+=$char ;;
            esac
            ;;
        \":*) word+=$char ;;
        :\\) word+=$next raw+=$next started=yes i+=1 ;;
        :\' | :\") quote=$char before=$word started=yes ;;
        :[[:space:]])
            [[ $started ]] && words+=("$word") operator=''
            word='' raw='' started=''
            ;;
        :[\<\>]) operator=yes word='' raw='' started='' ;;
        *) word+=$char started=yes ;;
        esac
    done
    words+=("$word")
}

# What is left of a name behind the part of the word that stays in the line, so quoted that it is one
# word again.
__phantom_ci_quote() {
    local name=$1
    case $quote in
    \') answer=${name//\'/\'\\\'\'} ;;
    \")
        answer=${name//\\/\\\\}
        answer=${answer//\"/\\\"}
        answer=${answer//\$/\\\$}
        answer=${answer//\`/\\\`}
        answer=${answer//!/\"\\!\"}
        ;;
    *) printf -v answer %q "$name" ;;
    esac
}

_phantom_ci() {
    local -a words
    local line=${COMP_LINE:0:COMP_POINT} typed=${2-} raw quote before operator answer current kept row name meaning
    COMPREPLY=()
    __phantom_ci_split "$line"
    if [[ $operator ]]; then
        compopt -o default 2>/dev/null
        return
    fi
    current=${words[${#words[@]} - 1]}
    # bash puts what it gets in the place of the part behind the last of COMP_WORDBREAKS or the open
    # quote; what is before that stays.
    if [[ $quote ]]; then
        kept=$before
    else
        kept=${raw%"$typed"}
        local -a split=("${words[@]}")
        __phantom_ci_split "$kept"
        kept=${words[${#words[@]} - 1]}
        words=("${split[@]}")
    fi
    while IFS= read -r row; do
        name=${row%%$'\t'*} meaning=${row#"$name"} meaning=${meaning#$'\t'}
        case $row in
        $'\tfiles') compopt -o default 2>/dev/null ;;
        $'\tdirectories') compopt -o dirnames 2>/dev/null ;;
        "$current"*)
            __phantom_ci_quote "${name#"$kept"}"
            # Shown only: with this type nothing is put into the line.
            [[ ${COMP_TYPE-} == 63 && $meaning ]] && answer+="  ($meaning)"
            COMPREPLY+=("$answer")
            ;;
        esac
    done < <(command phantom_ci __complete -- line "${words[@]:1}" 2>/dev/null)
}

complete -F _phantom_ci phantom_ci
