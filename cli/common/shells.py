"""Completion scripts. All of them ask the program itself, so they never grow old."""

from __future__ import annotations

from typing import Final

__all__ = ["SCRIPTS", "script"]

_BASH: Final = r"""
# bash completion for PROGRAM                              -*- shell-script -*-

__PROGRAM_complete() {
    local -a words=()
    local i word last line value strip=""
    # Bash takes "--flag=value" apart: put it together again.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        last=${#words[@]}
        if ((last > 0)) && [[ ${words[last-1]} == --*= || ($word == "=" && ${words[last-1]} == --*) ]]; then
            words[last-1]+=$word
        else
            words+=("$word")
        fi
    done
    last=${words[${#words[@]}-1]}
    [[ $last == --*=* ]] && strip=${last%%=*}=
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :files) compopt -o default 2>/dev/null ;;
            :nothing) ;;
            *)
                value=${line%%$'\t'*}
                COMPREPLY+=("${value#"$strip"}")
                ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null)
}

complete -F __PROGRAM_complete PROGRAM
"""

_ZSH: Final = r"""
#compdef PROGRAM

_PROGRAM() {
    local -a lines found
    local line value about ending=""
    lines=("${(@f)$("${words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    for line in "${lines[@]}"; do
        case $line in
            :files|:nothing) ending=$line ;;
            *)
                value=${line%%$'\t'*}
                about=${line#*$'\t'}
                found+=("${value//:/\\:}:$about")
                ;;
        esac
    done
    (( ${#found} )) && _describe -V 'PROGRAM' found
    [[ $ending == :files ]] && _files
    return 0
}

if [ "$funcstack[1]" = "_PROGRAM" ]; then
    _PROGRAM "$@"
else
    compdef _PROGRAM PROGRAM
fi
"""

_FISH: Final = r"""
# fish completion for PROGRAM

function __PROGRAM_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    for line in ($before[1] __complete $before[2..-1] "$current" 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path "$current"
            case ':nothing'
            case '*'
                echo $line
        end
    end
end

complete -c PROGRAM -f -a '(__PROGRAM_complete)'
"""

_POWERSHELL: Final = r"""
# powershell completion for PROGRAM

Register-ArgumentCompleter -Native -CommandName 'PROGRAM' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" })
    if ($wordToComplete -eq '') { $words += '""' }
    & 'PROGRAM' __complete @words 2>$null | ForEach-Object {
        $value, $about = $_ -split "`t", 2
        if ($value -ne ':files' -and $value -ne ':nothing') {
            if (-not $about) { $about = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $about)
        }
    }
}
"""

SCRIPTS: Final = {"bash": _BASH, "fish": _FISH, "powershell": _POWERSHELL, "zsh": _ZSH}


def script(program: str, shell: str) -> str:
    """The script of a shell for a program."""
    return SCRIPTS[shell].removeprefix("\n").replace("PROGRAM", program)
