wait_for() {
    case $#,${1-} in
        1,--gone) ;;
        1,* | 2,--gone)
            # What it usually waits for comes soon, and is told from here without starting a program.
            local testjig_left=200 testjig_nothing
            while [ $testjig_left -gt 0 ]; do
                if [ -e "${2-$1}" ] || [ -L "${2-$1}" ]; then
                    if [ $# = 1 ]; then return 0; fi
                elif [ $# = 2 ]; then
                    return 0
                fi
                testjig_left=$((testjig_left - 1))
                read -t 0.005 -u 9 testjig_nothing || :
            done 9<>/run/testjig.never
            ;;
    esac
    command wait_for "$@"
}
