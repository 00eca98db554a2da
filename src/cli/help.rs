//! The text below the flags in `--help`: examples, and the exit codes of each command. At most 80 columns wide, since
//! clap would break a longer line anywhere.

/// Of the program as a whole.
pub(super) const EXIT_CODES: &str = "Exit codes:
  0    done, nothing left out
  1    failed, or one table of several did; the reason is on stderr and, once
       the run has begun, in sync_logs.error
  2    wrong use or configuration; nothing was started
  3    done, but something was left out and named
  4    another run holds the lock
  5    status --max-age, verify, doctor: looked, and found something wrong
  6    stopped at --time-limit; the next run goes on from there
  130  stopped by SIGINT; 143 by SIGTERM, 129 by SIGHUP: the batch in hand was
       finished and the run recorded as failed

`wix-sync COMMAND --help` has examples and the exit codes of each command.";

pub(super) const SYNC: &str = "Examples:
  wix-sync sync all
  wix-sync sync orders --full
  wix-sync sync all --dry-run
  wix-sync sync all --time-limit 10min
  wix-sync sync all --metrics-file /var/lib/node_exporter/wix-sync.prom
  wix-sync sync appointments --start 2025-01-01 --end 2025-01-31
  wix-sync sync appointments --start 2025-01-01T09:00:00+01:00

Times: a date such as 2025-01-31 (UTC; as --end it includes the day), or
RFC 3339 such as 2025-01-31T09:30:00+01:00. Durations: 90s, 30min, 2h, 7d.

Exit codes:
  0    done, nothing left out
  1    failed, or one table of several did; the reason is on stderr and, once
       the run has begun, in sync_logs.error
  2    wrong use or configuration; nothing was started
  3    done, but something was left out and named: records that could not be
       written, deletions held back
  4    another run holds the lock
  6    stopped at --time-limit; the next run goes on from there
  130  stopped by SIGINT; 143 by SIGTERM, 129 by SIGHUP: the batch in hand was
       finished and the run recorded as failed";

pub(super) const VERIFY: &str = "Examples:
  wix-sync verify
  wix-sync verify orders --json
  wix-sync verify customers --repair

Exit codes:
  0  every table is as Wix has it; with --repair, it is now
  1  failed; nothing is known
  2  wrong use or configuration; nothing was started
  3  no gap, but rejected records are left out; with --repair also what could
     not be mended. All is named
  4  with --repair: another run holds the lock
  5  gaps were found";

pub(super) const STATUS: &str = "Examples:
  wix-sync status
  wix-sync status --max-age 2h
  wix-sync status --status failed --limit 3
  wix-sync status 4f1c

All times are in UTC. Durations: 90s, 30min, 2h, 7d.

Exit codes:
  0  shown
  1  failed, for example since the database can't be reached
  2  wrong use or configuration, or no run's id begins so
  5  with --max-age: the last success of a table is longer ago";

pub(super) const MIGRATE: &str = "Examples:
  wix-sync migrate
  wix-sync migrate --dry-run
  wix-sync migrate --schema wix

Exit codes:
  0  the schema is up to date
  1  failed, and nothing was changed; or something is left that migrate does
     not repair, and the SQL for it is shown
  2  wrong use or configuration, or tables that are in the way; nothing was
     changed";

pub(super) const INIT: &str = "Examples:
  wix-sync init
  wix-sync init --env-file /etc/wix-sync/shop.env --no-sync
  WIX_API_TOKEN=... DATABASE_URL=... wix-sync init --site-id ID --yes

Without a terminal nothing is asked: values come from flags, variables and the
.env file. Its other lines are kept.

Exit codes:
  0    the file is written, and what was to be run succeeded
  1    failed, for example because Wix or the database cannot be reached
  2    a value is missing or was refused; nothing was written
  130  stopped by Ctrl-C; nothing was written
  With --sync or --yes also those of sync";

pub(super) const DOCTOR: &str = "Examples:
  wix-sync doctor
  wix-sync doctor --json | jq '.checks[] | select(.status != \"ok\")'

Exit codes:
  0  no problems; there may be warnings
  2  wrong usage
  5  problems were found: a sync would fail or leave something out, or data is
     not safe";

pub(super) const ERRORS: &str = "Examples:
  wix-sync errors
  wix-sync errors list --json
  wix-sync errors retry orders

Exit codes: as of sync; 3 is that a record could still not be written";

pub(super) const COMPLETIONS: &str = "Examples:
  wix-sync completions bash >/etc/bash_completion.d/wix-sync
  wix-sync completions zsh >\"${fpath[1]}/_wix-sync\"
  wix-sync completions fish >~/.config/fish/completions/wix-sync.fish";

pub(super) const MAN: &str = "Examples:
  wix-sync man | man -l -
  wix-sync man /usr/local/share/man/man1";
