#!/bin/sh
# A fake `runsc` for tests without a sandbox. It runs commands on this machine and keeps a state
# where the real one does. FAKE_RUNSC chooses what happens; any of: blind, silent, stateless, old.
platform= pid= root=
for word; do
    case $word in
        --version) echo "${FAKE_VERSION-runsc version release-20991231.0}"; exit 0 ;;
        --platform=*) platform=${word#*=} ;;
        --root=*) root=${word#*=} ;;
        do) break ;;
        exec) break ;;
    esac
    shift
done
command=$1
shift
case $command in
    do)
        case $FAKE_RUNSC in *blind*) echo "ptrace: operation not permitted" >&2; exit 128 ;; esac
        [ "$platform" = systrap ] && { echo "unknown platform: systrap" >&2; exit 128; }
        case $FAKE_RUNSC in *silent*) exec sleep 60 ;; esac
        own=$TMPDIR/runsc-do1
        mkdir "$own"
        case $FAKE_RUNSC in *stateless*) ;; *) : > "$own/runsc-7_sandbox:runsc-7.state" ;; esac
        echo up
        cat
        rm -r "$own"
        ;;
    exec)
        case $FAKE_RUNSC in *old*) echo "flag provided but not defined: -x" >&2; exit 2 ;; esac
        [ -d "$root" ] || { echo "loading sandbox: file does not exist" >&2; exit 128; }
        while :; do
            case $1 in
                --internal-pid-file=*) pid=${1#*=} ;;
                --env=*) ;;
                *) break ;;
            esac
            shift
        done
        shift
        [ -n "$pid" ] && echo $$ > "$pid"
        exec "$@"
        ;;
esac
