# Holds one server (PostgreSQL or PgBouncer) for its owner, who writes words to standard input.
# When the owner goes, in whatever way, the pipe closes: the server is stopped and its directory removed.
#
# Arguments: DIR (removed at the end; empty: nothing is), TEMPLATE (copied to DIR/data; empty: none),
# LAST (the signal at the end), LOG, then the server's command.
# Words: make, start, or a signal's name (signals the server and waits for its end). One line answers each.
dir=$1 template=$2 last=$3 log=$4
shift 4
server=

# The server is waited for only here: until then its process number cannot be given to another process.
halt() {
    [ -n "$server" ] || return 0
    if [ "$1" = KILL ]; then
        # A busy child outlives its parent and holds the data. A parent that stands still has no new children.
        kill -STOP "$server" 2>/dev/null
        # Linux has /proc; macOS has pgrep, which a bare Debian lacks.
        children=$(cat "/proc/$server/task/$server/children" 2>/dev/null || pgrep -P "$server")
        kill -KILL "$server" $children 2>/dev/null
    else
        kill -"$1" "$server" 2>/dev/null
    fi
    wait "$server"
    server=
}

while read -r word; do
    case $word in
    make)
        if problem=$({ mkdir -m 700 "$dir" && { [ -z "$template" ] || cp -R "$template" "$dir/data"; }; } 2>&1); then
            echo ok
        else
            echo "cannot make a directory for the server:" $problem
        fi ;;
    start)
        halt KILL
        "$@" </dev/null >>"$log" 2>&1 &
        server=$!
        echo "$server" ;;
    *)
        halt "$word"
        echo ok ;;
    esac
done

halt "$last"
[ -n "$dir" ] || exit 0
# Only a server that was killed leaves this file; its line 7 names the shared memory that stayed behind.
if [ -f "$dir/data/postmaster.pid" ]; then
    sed -n 7p "$dir/data/postmaster.pid" | while read -r _ segment; do ipcrm -m "$segment"; done
fi
# After a kill the server's children may write for one more moment.
rm -rf "$dir" || { sleep 1; rm -rf "$dir"; }
