# Completion of phantom_ci for fish.
#
# What may stand at the cursor is known to the program: `phantom_ci __complete -- line WORD...` says it.
# Names of branches and repositories come from elsewhere and may hold anything; fish quotes what it puts
# into the line.

function __phantom_ci_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for row in (command phantom_ci __complete -- line $words[2..-1] "$current" 2>/dev/null)
        switch $row
            case \tfiles
                __fish_complete_path "$current"
            case \tdirectories
                __fish_complete_directories "$current"
            case '*'
                printf '%s\n' $row
        end
    end
end

complete -c phantom_ci -f -a '(__phantom_ci_complete)'
